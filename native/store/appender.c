#define _GNU_SOURCE
#include "appender.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../codec/assertions.h"
#include "../codec/batch.h"
#include "clock.h"
#include "fault.h"
#include "file_system.h"
#include "index.h"
#include "mutex.h"

/* Above this a pwrite is cheaper than faulting in the pages to copy to. */
#define MAPPED_UNIT_BYTES_MAX (64 * 1024)
#define WINDOW_BYTES (16 * 1024 * 1024)
#define POPULATE_BYTES (128 * 1024)
#define ALLOCATE_BYTES_MIN (64 * 1024)
#define ALLOCATE_BYTES_MAX (16 * 1024 * 1024)
#define INDEX_BYTES_MAX (10 * 1024 * 1024) /* Kafka's segment.index.bytes */
#define STACK_BATCH_BYTES 4096
#define FLUSH_SLICE_MS 100 /* how soon waiters notice that the thread that flushed has died */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

el_appender *el_appender_new(el_head *head, el_signals *signals, int64_t lock_timeout_ms, int flush_always) {
    el_appender *appender = calloc(1, sizeof *appender);
    if (appender == NULL)
        return NULL;
    appender->head = head;
    appender->signals = signals;
    appender->segment_base = -1;
    appender->log_fd = appender->index_fd = appender->time_index_fd = -1;
    appender->process_id = getpid();
    appender->can_map = 1;
    appender->flush_always = flush_always;
    appender->lock_timeout_ms = lock_timeout_ms;
    appender->unsure_end = el_head_end_offset(head);
    return appender;
}

static void release_window(el_appender *appender) {
    if (appender->window != NULL)
        munmap(appender->window, WINDOW_BYTES);
    appender->window = NULL;
}

static void close_segment(el_appender *appender) {
    release_window(appender);
    if (appender->segment_base >= 0) {
        close(appender->log_fd);
        close(appender->index_fd);
        close(appender->time_index_fd);
    }
    appender->segment_base = -1;
}

void el_appender_free(el_appender *appender) {
    close_segment(appender);
    free(appender);
}

static int lock_append_within(el_appender *appender, int64_t timeout_ms) {
    int status = el_head_lock_append(appender->head, appender->signals, timeout_ms, &appender->holder);
    if (status == EL_DONE)
        atomic_store_explicit(&appender->head->append_holder, appender->process_id, memory_order_relaxed);
    return status;
}

static int lock_append(el_appender *appender) {
    return lock_append_within(appender, appender->lock_timeout_ms);
}

static int has_append_mutex(const el_appender *appender) {
    return el_mutex_is_own(&appender->head->append.mutex);
}

static int has_flush_mutex(const el_appender *appender) {
    return el_mutex_is_own(&appender->head->flush.mutex);
}

static int fail(el_appender *appender, int status, int error_number) {
    appender->error_number = error_number;
    return status;
}

static int poison(el_appender *appender, int error_number) {
    el_head_set_poison(appender->head, error_number);
    el_head_wake(appender->head, appender->signals);
    return fail(appender, EL_IO_ERROR, error_number);
}

/* Is there no room for the bytes, on the disk or for this process alone? Then nothing is wrong with what is there. */
static int has_no_room(int error_number) {
    return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

static int fail_for_room(el_appender *appender, int error_number) {
    return fail(appender, error_number == EFBIG ? EL_FILE_TOO_LARGE : EL_DISK_FULL, error_number);
}

int el_appender_attach(el_appender *appender, int64_t segment_base, int log_fd, int index_fd, int time_index_fd) {
    int status = lock_append(appender);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("attach.locked");
    close_segment(appender);
    struct stat file;
    if (segment_base == appender->head->tail.segment_base && fstat(log_fd, &file) == 0 &&
        file.st_size < appender->head->allocated) {
        /* Another program has cut the file: a copy into its map would end in SIGBUS. */
        appender->head->allocated = appender->head->tail.position;
        if (file.st_size < appender->head->tail.position)
            el_head_set_poison(appender->head, ESTALE);
    }
    appender->segment_base = segment_base;
    appender->log_fd = log_fd;
    appender->index_fd = index_fd;
    appender->time_index_fd = time_index_fd;
    appender->can_map = el_writes_in_place(log_fd);
    EL_FAULT_POINT("attach.attached");
    el_head_unlock_append(appender->head);
    return EL_DONE;
}

int el_appender_take(el_appender *appender, int64_t segment_base, int *files) {
    EL_ASSERT(has_flush_mutex(appender));
    int status = el_appender_attach(appender, segment_base, files[0], files[1], files[2]);
    if (status == EL_DONE)
        files[0] = files[1] = files[2] = -1;
    return status;
}

int64_t el_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A signal that arrives inside these calls has done no harm: they are repeated. */
static int truncate_to(int fd, int64_t length) {
    struct stat file;
    int result;
    if (fstat(fd, &file) == 0 && file.st_size == length)
        return 0; /* to truncate it would change the file's time, by which retention goes if records have no timestamps */
    do
        result = ftruncate(fd, length);
    while (result != 0 && errno == EINTR);
    return result;
}

static int synced(int fd, int (*sync)(int)) {
    int result;
    do
        result = sync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

/* Bytes that a killed writer left behind the last published batch must not stay: the next batch may be shorter, and what is left behind
 * it would look like damage. Once the file is cut, it is extended with zeros; and it is synced, so that a power cut cannot bring back
 * some of the bytes next to the batches that have replaced them. */
static int discard_unpublished(el_appender *appender) {
    el_head *head = appender->head;
    EL_ASSERT(has_append_mutex(appender) && appender->segment_base == head->tail.segment_base);
    if (truncate_to(appender->log_fd, head->tail.position) != 0)
        return poison(appender, errno);
    EL_FAULT_POINT("discard.log");
    if (truncate_to(appender->index_fd, head->tail.index_bytes) != 0 ||
        truncate_to(appender->time_index_fd, head->tail.time_index_bytes) != 0 ||
        (atomic_load(&head->writing) && synced(appender->log_fd, fsync) != 0))
        return poison(appender, errno);
    EL_FAULT_POINT("discard.indexes");
    head->allocated = head->tail.position;
    EL_FAULT_POINT("discard.allocated");
    appender->populated = head->tail.position;
    atomic_store(&head->writing, 0);
    return EL_DONE;
}

/* Returns 0 or an errno. Signals are blocked: some file systems undo what an interrupted call has done, and it might never finish if
 * signals kept coming. */
static int allocate(int fd, int64_t start, int64_t end) {
    sigset_t all, before;
    int error_number;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    do
        error_number = fallocate(fd, 0, start, end - start) == 0 ? 0 : errno;
    while (error_number == EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error_number;
}

/* Extend the preallocation, in steps that grow with the segment so that small partitions stay small. A full disk shows here, before
 * anything is written. */
static int reserve(el_appender *appender, int64_t end) {
    el_head *head = appender->head;
    if (end <= head->allocated || !appender->can_map)
        return EL_DONE;
    int64_t step = head->allocated;
    step = step < ALLOCATE_BYTES_MIN ? ALLOCATE_BYTES_MIN : step > ALLOCATE_BYTES_MAX ? ALLOCATE_BYTES_MAX : step;
    int64_t wanted = head->allocated + step;
    wanted = wanted > head->limits.segment_bytes ? head->limits.segment_bytes : wanted;
    wanted = wanted < end ? end : wanted;
    int error_number = allocate(appender->log_fd, head->tail.position, wanted);
    if (has_no_room(error_number) && wanted > end) {
        wanted = end; /* the step does not fit, but perhaps this unit does */
        error_number = allocate(appender->log_fd, head->tail.position, wanted);
    }
    if (error_number == EOPNOTSUPP) {
        appender->can_map = 0;
        return EL_DONE;
    }
    if (has_no_room(error_number))
        return fail_for_room(appender, error_number);
    if (error_number != 0)
        return fail(appender, EL_IO_ERROR, error_number);
    EL_FAULT_POINT("reserve.grown");
    head->allocated = wanted;
    return EL_DONE;
}

static int write_fully(int fd, const uint8_t *data, size_t length, int64_t position) {
    while (length > 0) {
        ssize_t written = pwrite(fd, data, length, position);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        if (written == 0)
            return ENOSPC; /* it gives no reason, but to try for ever would not help */
        data += written;
        length -= (size_t)written;
        position += written;
    }
    return 0;
}

/* Make the window cover `position`; 0 if that cannot be had. */
static int cover(el_appender *appender, int64_t position) {
    if (appender->window != NULL && position >= appender->window_start &&
        position < appender->window_start + WINDOW_BYTES)
        return 1;
    release_window(appender);
    int64_t start = position - position % WINDOW_BYTES;
    void *window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, appender->log_fd, start);
    if (window == MAP_FAILED)
        return 0;
    appender->window = window;
    appender->window_start = start;
    appender->populated = position;
    return 1;
}

/* To fault in pages one by one costs more than the copy itself; a run of them in one call is several times cheaper. */
static void populate(el_appender *appender, int64_t position, int64_t end) {
    if (end <= appender->populated)
        return;
    int64_t start = (position > appender->populated ? position : appender->populated) & ~INT64_C(4095);
    int64_t stop = (end + POPULATE_BYTES) & ~INT64_C(4095);
    int64_t limit = appender->window_start + WINDOW_BYTES;
    limit = limit < appender->head->allocated ? limit : appender->head->allocated & ~INT64_C(4095);
    stop = stop < limit ? stop : limit;
    if (stop > start)
        madvise(appender->window + (start - appender->window_start), (size_t)(stop - start), MADV_POPULATE_WRITE);
    appender->populated = stop > end ? stop : end;
}

static int copy_into_map(el_appender *appender, const uint8_t *data, size_t length, int64_t position) {
    EL_ASSERT(position + (int64_t)length <= appender->head->allocated); /* else the copy could end in SIGBUS on a full disk */
    while (length > 0) {
        if (!cover(appender, position))
            return write_fully(appender->log_fd, data, length, position);
        int64_t room = appender->window_start + WINDOW_BYTES - position;
        size_t part = (int64_t)length < room ? length : (size_t)room;
        populate(appender, position, position + (int64_t)part);
        memcpy(appender->window + (position - appender->window_start), data, part);
        data += part;
        length -= part;
        position += (int64_t)part;
    }
    return 0;
}

/* After each flush the pages have to be faulted in again, so if each append is flushed a pwrite is cheaper, however small. Without
 * preallocation a full disk shows only here; the bytes were not published, and are cut off. */
static int write_batches(el_appender *appender, const uint8_t *batches, size_t length) {
    int64_t position = appender->head->tail.position;
    int error_number = appender->can_map && !appender->flush_always && length <= MAPPED_UNIT_BYTES_MAX
                           ? copy_into_map(appender, batches, length, position)
                           : write_fully(appender->log_fd, batches, length, position);
    if (error_number == 0)
        return EL_DONE;
    if (!has_no_room(error_number))
        return poison(appender, error_number);
    int status = discard_unpublished(appender);
    return status == EL_DONE ? fail_for_room(appender, error_number) : status;
}

/* An index that lacks an entry because the disk was full is only sparser; any other failure is one of the disk. */
static int write_index_entry(el_appender *appender, int fd, const uint8_t *entry, size_t length, int64_t *end) {
    int error_number = write_fully(fd, entry, length, *end);
    if (has_no_room(error_number))
        return EL_DONE;
    if (error_number != 0)
        return poison(appender, error_number);
    EL_FAULT_POINT("index.written");
    *end += (int64_t)length;
    return EL_DONE;
}

static int write_time_index_entry(el_appender *appender, el_tail *tail) {
    uint8_t entry[EL_TIME_INDEX_ENTRY_BYTES];
    if (!el_time_index_due(tail, entry))
        return EL_DONE;
    return write_index_entry(appender, appender->time_index_fd, entry, sizeof entry, &tail->time_index_bytes);
}

static int index_batch(el_appender *appender, el_tail *tail, const el_batch *batch, int64_t last_offset) {
    uint8_t entry[EL_INDEX_ENTRY_BYTES];
    if (!el_index_note(tail, batch, last_offset, appender->head->limits.index_interval_bytes, entry))
        return EL_DONE;
    int status = write_index_entry(appender, appender->index_fd, entry, sizeof entry, &tail->index_bytes);
    return status == EL_DONE ? write_time_index_entry(appender, tail) : status;
}

/* Give every batch its base offset, and compute the tail as it will be behind them. */
static int place_batches(el_appender *appender, uint8_t *batches, size_t length, el_tail *tail) {
    size_t at = 0;
    while (at < length) {
        el_batch batch;
        if (el_batch_parse(batches + at, length - at, &batch) != EL_CODEC_OK)
            return fail(appender, EL_IO_ERROR, EINVAL);
        int64_t last_offset = tail->end_offset + batch.last_offset_delta;
        el_batch_place(batches + at, tail->end_offset, appender->head->limits.leader_epoch);
        int status = index_batch(appender, tail, &batch, last_offset);
        if (status != EL_DONE)
            return status;
        tail->position += batch.size_bytes;
        tail->end_offset = last_offset + 1;
        at += (size_t)batch.size_bytes;
    }
    return EL_DONE;
}

/* Are there offsets for all records, and for the end? Called only near the largest offset: no unit holds more than 2^30 records. */
static int has_offsets(const el_tail *tail, const uint8_t *batches, size_t length) {
    int64_t left = INT64_MAX - tail->end_offset;
    for (size_t at = 0; at < length;) {
        el_batch batch;
        if (el_batch_parse(batches + at, length - at, &batch) != EL_CODEC_OK || batch.last_offset_delta >= left)
            return 0;
        left -= batch.last_offset_delta + INT64_C(1);
        at += (size_t)batch.size_bytes;
    }
    return 1;
}

/* Does the unit still fit into the active segment? For the roll by time the timestamp of its first batch counts. */
static int check_room(const el_appender *appender, const uint8_t *batches, size_t length) {
    const el_tail *tail = &appender->head->tail;
    const el_limits *limits = &appender->head->limits;
    if ((int64_t)length > limits->segment_bytes)
        return EL_UNIT_TOO_LARGE;
    if (tail->end_offset > INT64_MAX - INT32_MAX && !has_offsets(tail, batches, length))
        return EL_OFFSETS_USED_UP;
    if (tail->position == 0)
        return EL_DONE;
    el_batch first;
    el_batch_parse(batches, length, &first);
    int is_full = tail->position + (int64_t)length > limits->segment_bytes ||
                  tail->index_bytes + EL_INDEX_ENTRY_BYTES > INDEX_BYTES_MAX ||
                  tail->time_index_bytes + 2 * EL_TIME_INDEX_ENTRY_BYTES > INDEX_BYTES_MAX;
    /* A relative offset has 31 bits, and no unit holds more than 2^30 records: the smallest takes seven bytes. */
    int is_far = tail->end_offset - tail->segment_base > INT32_MAX / 2;
    int is_old = tail->first_timestamp >= 0 && first.max_timestamp - tail->first_timestamp > limits->segment_ms;
    return is_full || is_far || is_old ? EL_ROLL_NEEDED : EL_DONE;
}

static int check_may_append(const el_appender *appender, uint32_t settings_version) {
    const el_head *head = appender->head;
    if (atomic_load_explicit(&head->poison, memory_order_relaxed) != 0)
        return EL_POISONED;
    if (atomic_load_explicit(&appender->is_retired, memory_order_relaxed) != 0)
        return EL_SEGMENT_CHANGED;
    if (atomic_load_explicit(&head->settings_version, memory_order_relaxed) != settings_version)
        return EL_SETTINGS_CHANGED;
    if (head->tail.segment_base != appender->segment_base || atomic_load_explicit(&head->sealing, memory_order_relaxed))
        return EL_SEGMENT_CHANGED;
    return EL_DONE;
}

/* Can it be appended without a call to the file system that may take long? */
static int is_ready_for(const el_appender *appender, size_t length) {
    const el_head *head = appender->head;
    int has_room = head->tail.position + (int64_t)length <= head->allocated || !appender->can_map;
    return has_room && !atomic_load_explicit(&head->writing, memory_order_relaxed);
}

/* With the append mutex held. Does the log end where the caller expects it to? NULL: it expects nothing. */
static int check_end(const el_head *head, int64_t *end_offset) {
    if (end_offset == NULL || *end_offset == head->tail.end_offset)
        return EL_DONE;
    *end_offset = head->tail.end_offset;
    return EL_CONFLICT;
}

/* With the append mutex held. */
static int append_locked(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int may_wait,
                         int64_t *end_offset, int64_t *first_offset) {
    el_head *head = appender->head;
    EL_ASSERT(has_append_mutex(appender) && !atomic_load(&head->next_is_complete));
    int status = check_may_append(appender, settings_version);
    if (status == EL_DONE)
        status = check_end(head, end_offset);
    if (status == EL_DONE && !may_wait && !is_ready_for(appender, length))
        return EL_LOCK_TIMEOUT;
    if (status == EL_DONE && atomic_load_explicit(&head->writing, memory_order_relaxed))
        status = discard_unpublished(appender);
    if (status == EL_DONE)
        status = check_room(appender, batches, length);
    if (status == EL_DONE)
        status = reserve(appender, head->tail.position + (int64_t)length);
    if (status != EL_DONE)
        return status;
    atomic_store_explicit(&head->writing, 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst); /* bytes of a writer that died must never be there without the flag */
    EL_FAULT_POINT("append.writing");
    el_tail next = head->tail;
    *first_offset = next.end_offset;
    status = place_batches(appender, batches, length, &next);
    EL_ASSERT(status != EL_DONE || next.position == head->tail.position + (int64_t)length);
    EL_FAULT_POINT("append.placed");
    if (status == EL_DONE)
        status = write_batches(appender, batches, length);
    EL_FAULT_POINT("append.written");
    if (status == EL_DONE)
        el_head_publish(head, &next);
    return status;
}

static int64_t append_batches(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int may_wait,
                              int64_t *end_offset) {
    int64_t first_offset = -1;
    int status = lock_append_within(appender, may_wait ? appender->lock_timeout_ms : 0);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("append.locked");
    status = append_locked(appender, batches, length, settings_version, may_wait, end_offset, &first_offset);
    el_head_unlock_append(appender->head);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("append.unlocked");
    el_head_wake(appender->head, appender->signals);
    return first_offset;
}

int64_t el_append_unit(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version) {
    return append_batches(appender, batches, length, settings_version, 1, NULL);
}

int64_t el_append_unit_at_once(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version) {
    return append_batches(appender, batches, length, settings_version, 0, NULL);
}

int64_t el_append_unit_if(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int64_t *end_offset) {
    return append_batches(appender, batches, length, settings_version, 1, end_offset);
}

int64_t el_appender_position(const el_appender *appender) {
    int64_t segment_base, position;
    el_head_active_segment(appender->head, &segment_base, &position);
    return position;
}

int el_appender_retire(el_appender *appender) {
    atomic_store(&appender->is_retired, 1);
    int status = lock_append(appender);
    if (status == EL_DONE)
        el_head_unlock_append(appender->head);
    if (el_head_lock_flush(appender->head, appender->lock_timeout_ms, &appender->holder) == EL_DONE)
        el_head_unlock_flush(appender->head);
    return status;
}

void el_appender_release(el_appender *appender, int64_t timeout_ms) {
    el_head *head = appender->head;
    if (el_head_lock_flush(head, timeout_ms, &appender->holder) != EL_DONE)
        return;
    if (lock_append_within(appender, timeout_ms) == EL_DONE) {
        int is_poisoned = atomic_load_explicit(&head->poison, memory_order_relaxed) != 0;
        if (is_poisoned || atomic_load(&appender->is_retired) || head->tail.segment_base != appender->segment_base)
            close_segment(appender);
        el_head_unlock_append(head);
    }
    el_head_unlock_flush(head);
}

static int is_too_large(const el_encoding *encoding, size_t bytes) {
    return (int64_t)bytes + EL_BATCH_HEADER_BYTES > encoding->batch_bytes_max;
}

static size_t content_bytes(const el_new_record *record) {
    size_t value_length = record->value_length > 0 ? (size_t)record->value_length : 0;
    size_t key_length = record->key_length > 0 ? (size_t)record->key_length : 0;
    return value_length + key_length + record->headers_length;
}

int64_t el_append_record(el_appender *appender, const el_encoding *encoding, el_new_record *record, int may_wait) {
    uint8_t on_stack[STACK_BATCH_BYTES];
    if (encoding->compresses || (encoding->needs_keys && record->key_length < 0))
        return EL_SETTINGS_CHANGED;
    size_t capacity =
        EL_BATCH_HEADER_BYTES + el_record_size_max(record->key_length, record->value_length, record->headers_length);
    uint8_t *data = on_stack;
    if (capacity > sizeof on_stack) {
        if (is_too_large(encoding, content_bytes(record)))
            return EL_RECORD_TOO_LARGE;
        data = malloc(capacity);
        if (data == NULL)
            return EL_NO_MEMORY;
    }
    el_batch_writer writer;
    el_batch_begin(&writer, data, capacity);
    record->stored_timestamp = record->timestamp < 0 || encoding->attributes ? el_now_ms() : record->timestamp;
    el_batch_add(&writer, record->stored_timestamp, record->key, record->key_length, record->value, record->value_length, record->headers,
                 record->headers_length, record->header_count);
    size_t length = el_batch_finish(&writer, encoding->attributes);
    int64_t offset = (int64_t)length > encoding->batch_bytes_max
                         ? EL_RECORD_TOO_LARGE
                         : append_batches(appender, data, length, encoding->settings_version, may_wait, NULL);
    if (data != on_stack)
        free(data);
    return offset;
}

/* With the flush mutex held. */
int el_flush_locked(el_appender *appender) {
    el_head *head = appender->head;
    EL_ASSERT(has_flush_mutex(appender));
    el_tail tail;
    int status = el_head_snapshot(head, appender->signals, appender->lock_timeout_ms, &tail, &appender->holder);
    if (status != EL_DONE)
        return status;
    if (el_head_poison(head) != 0)
        return EL_POISONED;
    if (tail.end_offset <= el_head_durable_offset(head))
        return EL_DONE;
    if (tail.segment_base != appender->segment_base)
        return EL_SEGMENT_CHANGED;
    int64_t start = el_monotonic_ns();
    if (synced(appender->log_fd, fdatasync) != 0)
        return poison(appender, errno);
    EL_FAULT_POINT("flush.synced");
    el_group_commit_synced(&head->group, el_monotonic_ns() - start);
    el_head_store_durable(head, appender->signals, tail.segment_base, tail.position, tail.end_offset);
    return EL_DONE;
}

/* Call with the flush mutex held; it is unlocked. */
static int flush_for_all(el_appender *appender, int64_t offset) {
    el_head *head = appender->head;
    int status = EL_DONE;
    EL_FAULT_POINT("flush.locked");
    if (atomic_load(&appender->is_retired))
        status = EL_SEGMENT_CHANGED;
    else if (el_head_durable_offset(head) < offset) {
        el_group_commit_gather(&head->group);
        status = el_flush_locked(appender);
    }
    el_head_unlock_flush(head);
    return status;
}

int el_flush(el_appender *appender, int64_t offset) {
    el_head *head = appender->head;
    int64_t deadline = -1;
    int in_vain = 0; /* if so, spend a millisecond to find out whether this very thread holds the mutex */
    while (el_head_durable_offset(head) < offset) {
        uint32_t ended = el_event_count_read(&head->group.ended);
        int status = el_head_lock_flush(head, in_vain, &appender->holder);
        if (status == EL_DONE)
            return flush_for_all(appender, offset);
        if (status == EL_HELD_ALREADY)
            return status;
        int64_t now = el_monotonic_ns() / 1000000;
        if (deadline < 0)
            deadline = now + appender->lock_timeout_ms;
        if (now >= deadline)
            return status;
        int64_t remaining = deadline - now;
        el_group_commit_await(&head->group, ended, remaining < FLUSH_SLICE_MS ? remaining : FLUSH_SLICE_MS);
        in_vain = !el_event_count_has_advanced(&head->group.ended, ended);
    }
    return EL_DONE;
}

/* With the append mutex held. The tail changes as a whole: if a process is killed here, the last entry of the time index either counts
 * or is written once more. */
static int trim_locked(el_appender *appender) {
    el_head *head = appender->head;
    EL_ASSERT(has_append_mutex(appender));
    int status = discard_unpublished(appender);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("trim.cut");
    el_tail next = head->tail;
    status = write_time_index_entry(appender, &next);
    EL_FAULT_POINT("trim.indexed");
    if (status == EL_DONE)
        el_head_publish(head, &next);
    release_window(appender);
    return status;
}

int el_trim(el_appender *appender) {
    int status = lock_append(appender);
    if (status != EL_DONE)
        return status;
    status = trim_locked(appender);
    el_head_unlock_append(appender->head);
    return status;
}

int el_roll_begin(el_appender *appender, el_tail *sealed) {
    el_head *head = appender->head;
    EL_ASSERT(has_flush_mutex(appender));
    int status = lock_append(appender);
    if (status != EL_DONE)
        return status;
    status = el_head_poison(head) != 0                                 ? EL_POISONED
             : head->tail.segment_base != appender->segment_base ? EL_SEGMENT_CHANGED
                                                                       : EL_DONE;
    if (status == EL_DONE) {
        atomic_store(&head->sealing, 1);
        EL_FAULT_POINT("roll.sealing");
        status = trim_locked(appender);
        *sealed = head->tail;
    }
    el_head_unlock_append(head);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("roll.trimmed");
    if (synced(appender->log_fd, fsync) != 0 || synced(appender->index_fd, fsync) != 0 ||
        synced(appender->time_index_fd, fsync) != 0)
        return poison(appender, errno);
    EL_FAULT_POINT("roll.synced");
    el_head_store_durable(head, appender->signals, sealed->segment_base, sealed->position, sealed->end_offset);
    EL_FAULT_POINT("roll.durable");
    return EL_DONE;
}

int el_roll_finish(el_appender *appender, int64_t segment_base) {
    el_head *head = appender->head;
    EL_ASSERT(has_flush_mutex(appender) && el_head_is_sealing(head));
    int status = lock_append(appender);
    if (status != EL_DONE)
        return status;
    EL_ASSERT(segment_base == head->tail.end_offset);
    el_tail next = {
        .end_offset = head->tail.end_offset,
        .segment_base = segment_base,
        .max_timestamp = -1,
        .max_timestamp_offset = -1,
        .indexed_timestamp = -1,
        .first_timestamp = -1,
    };
    head->allocated = 0; /* before the new tail: it must not be larger than the new file if this process is killed */
    EL_FAULT_POINT("roll.unallocated");
    el_head_publish(head, &next);
    EL_FAULT_POINT("roll.published");
    /* Before appends may begin: if this process is killed in between, readers must not have a list that lacks the segment. */
    atomic_fetch_add(&head->segments_version, 1);
    EL_FAULT_POINT("roll.listed");
    atomic_store(&head->sealing, 0);
    EL_FAULT_POINT("roll.unsealed");
    el_head_store_durable(head, appender->signals, segment_base, 0, next.end_offset);
    EL_FAULT_POINT("roll.finished");
    el_head_unlock_append(head);
    return EL_DONE;
}
