/* Group commit: who waits for a flush while another one is under way shares the next one with all others. */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../store/appender.h"
#include "check.h"

#define THREADS 16
#define ROUNDS 200

static _Atomic int syncs;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd) {
    syncs++;
    return __real_fdatasync(fd);
}

typedef struct shared_log {
    el_head *head;
    el_signals *signals;
    int files[3];
} shared_log;

static int new_file(off_t length) {
    int fd = memfd_create("file", 0);
    CHECK(fd >= 0 && ftruncate(fd, length) == 0);
    return fd;
}

static shared_log new_log(void) {
    shared_log log = {.head = el_head_map(new_file(EL_HEAD_BYTES)), .signals = el_signals_map(new_file(EL_SIGNALS_BYTES))};
    CHECK(log.head != NULL && log.signals != NULL);
    for (int i = 0; i < 3; i++)
        log.files[i] = new_file(0);
    el_tail tail = {.max_timestamp = -1, .max_timestamp_offset = -1, .indexed_timestamp = -1, .first_timestamp = -1};
    el_limits limits = {.segment_bytes = 1 << 26, .segment_ms = INT64_MAX, .index_interval_bytes = 4096};
    el_head_initialise(log.head, (const uint8_t *)"this very boot 1", 1, 2, &tail, &limits, 0, 0, 0, 0);
    return log;
}

/* Each thread has an appender of its own, as processes have. */
static el_appender *attach(const shared_log *log) {
    el_appender *appender = el_appender_new(log->head, log->signals, 10000, 1);
    CHECK(appender != NULL);
    appender->batch_bytes_max = 1 << 20;
    CHECK(el_appender_attach(appender, 0, dup(log->files[0]), dup(log->files[1]), dup(log->files[2])) == EL_DONE);
    return appender;
}

static void append_durably(el_appender *appender) {
    static const uint8_t value[] = "value";
    el_new_record record = {.value = value, .value_length = sizeof value, .key_length = -1, .timestamp = 1000};
    int64_t offset = el_append_record(appender, &record, 1);
    CHECK(offset >= 0 && el_flush(appender, offset + 1) == EL_DONE);
    CHECK(el_head_durable_offset(appender->head) > offset);
}

static void *append_one(void *argument) {
    el_appender *appender = attach(argument);
    append_durably(appender);
    el_appender_free(appender);
    return NULL;
}

static void *append_many(void *argument) {
    el_appender *appender = attach(argument);
    for (int i = 0; i < ROUNDS; i++)
        append_durably(appender);
    el_appender_free(appender);
    return NULL;
}

static void start(pthread_t *threads, void *(*work)(void *), shared_log *log) {
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, log) == 0);
}

static void join(const pthread_t *threads) {
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void test_all_who_waited_share_one_sync(void) {
    shared_log log = new_log();
    pthread_t threads[THREADS];
    int32_t holder;
    CHECK(el_head_lock_flush(log.head, 1000, &holder) == EL_DONE);
    start(threads, append_one, &log);
    while (el_head_end_offset(log.head) < THREADS)
        sched_yield();
    CHECK(el_head_durable_offset(log.head) == 0);
    syncs = 0;
    el_head_unlock_flush(log.head, log.signals);
    join(threads);
    CHECK(syncs == 1 && el_head_durable_offset(log.head) == THREADS);
}

static void test_a_mutex_that_nobody_gives_back_is_a_timeout(void) {
    shared_log log = new_log();
    int32_t holder;
    el_appender *appender = attach(&log);
    append_durably(appender);
    appender->lock_timeout_ms = 20;
    static const uint8_t value[] = "value";
    el_new_record record = {.value = value, .value_length = sizeof value, .key_length = -1, .timestamp = 1000};
    CHECK(el_append_record(appender, &record, 1) == 1);
    CHECK(el_head_lock_flush(log.head, 1000, &holder) == EL_DONE);
    CHECK(el_flush(appender, 1) == EL_DONE); /* which is durable already */
    CHECK(el_flush(appender, 2) == EL_LOCK_TIMEOUT && appender->holder == getpid());
    el_head_unlock_flush(log.head, log.signals);
    CHECK(el_flush(appender, 2) == EL_DONE);
    el_appender_free(appender);
}

static void test_many_threads_flush_all_that_they_append(void) {
    shared_log log = new_log();
    pthread_t threads[THREADS];
    start(threads, append_many, &log);
    join(threads);
    CHECK(el_head_durable_offset(log.head) == THREADS * ROUNDS && el_head_end_offset(log.head) == THREADS * ROUNDS);
}

int main(void) {
    test_all_who_waited_share_one_sync();
    test_a_mutex_that_nobody_gives_back_is_a_timeout();
    test_many_threads_flush_all_that_they_append();
    return DONE();
}
