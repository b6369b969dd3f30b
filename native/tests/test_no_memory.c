/* Each allocation of the C side fails in turn: what asked for it says so, loses nothing, and works once there is memory again.
 *
 * Linked with --wrap, so that every malloc, calloc and realloc of the library comes by here. */

#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../store/appender.h"
#include "../store/reader.h"
#include "check.h"

#define BLOCK_BYTES 128
#define VALUE_BYTES 6000
#define BATCHES 3

static long until_failure = -1; /* how many allocations still succeed; -1: all of them */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static int fails(void) {
    if (until_failure < 0)
        return 0;
    return until_failure-- == 0;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    return fails() ? NULL : __real_realloc(block, size);
}

static int new_file(void) {
    int fd = memfd_create("file", 0);
    CHECK(fd >= 0);
    return fd;
}

static el_head *new_head(void) {
    int fd = new_file();
    CHECK(ftruncate(fd, EL_HEAD_BYTES) == 0);
    el_head *head = el_head_map(fd);
    CHECK(head != NULL);
    close(fd);
    el_tail tail = {.max_timestamp = -1, .max_timestamp_offset = -1, .indexed_timestamp = -1, .first_timestamp = -1,
                    .first_unstable = -1, .producers_offset = -1, .marker_end = -1};
    el_limits limits = {.segment_bytes = 1 << 20, .segment_ms = INT64_MAX, .index_interval_bytes = 4096};
    el_head_initialise(head, (const uint8_t *)"this very boot 1", 1, 2, &tail, &limits, 0, 0, 0, 0);
    return head;
}

/* Append records too large for the stack; returns 0 when memory ran out. */
static int append(el_head *head, int log_fd) {
    el_appender *appender = el_appender_new(head, NULL, 1000, 0);
    if (appender == NULL)
        return 0;
    appender->encoding.batch_bytes_max = 1 << 20;
    CHECK(el_appender_attach(appender, 0, dup(log_fd), new_file(), new_file()) == EL_DONE);
    static const uint8_t value[VALUE_BYTES] = "value";
    el_new_record record = {.value = value, .value_length = VALUE_BYTES, .key_length = -1, .timestamp = 1000};
    int64_t end = el_head_end_offset(head), offset = 0;
    for (int i = 0; i < BATCHES && offset >= 0; i++) {
        offset = el_append_record(appender, &appender->encoding, &record, 1);
        CHECK(offset == EL_NO_MEMORY || offset == end + i);
    }
    el_appender_free(appender);
    return offset >= 0;
}

/* Read everything, through a buffer that has to grow; a failure is met once, and the same reader goes on. Returns 0 if there was one. */
static int read_all(el_head *head, int log_fd) {
    el_reader *reader = el_reader_new(BLOCK_BYTES);
    if (reader == NULL)
        return 0;
    int64_t stop = el_head_end_offset(head), found = 0, failures = 0;
    reader->segment.fd = log_fd;
    el_reader_seek(reader, 0, 0, 0);
    while (reader->next_offset < stop) {
        el_record record;
        int status = el_reader_load(reader, stop);
        CHECK(status == EL_READ_READY || (status == EL_READ_NO_MEMORY && failures++ == 0));
        while (status == EL_READ_READY && el_reader_next(reader, stop, &record) == 1) {
            CHECK(record.value_length == VALUE_BYTES && memcmp(record.value, "value", 6) == 0);
            found++;
        }
    }
    CHECK(found == stop);
    el_reader_free(reader);
    return failures == 0;
}

static void fail_in_turn(int (*use)(el_head *, int), int allocations_min) {
    int number = 0, is_done = 0;
    el_head *head = new_head();
    int log_fd = new_file();
    CHECK(append(head, log_fd));
    for (; !is_done; number++) {
        until_failure = number;
        is_done = use(head, log_fd);
        until_failure = -1;
        CHECK(read_all(head, log_fd)); /* whatever failed, all that was appended is there */
    }
    CHECK(number > allocations_min);
    close(log_fd);
    el_head_unmap(head);
}

int main(void) {
    fail_in_turn(append, 3);
    fail_in_turn(read_all, 3);
    return DONE();
}
