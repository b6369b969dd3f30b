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
#include "../codec/big_endian.h"
#include "../codec/transactions.h"
#include "clock.h"
#include "fault.h"
#include "file.h"
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
    appender->log_fd = appender->index_fd = appender->time_index_fd = appender->aborted_index_fd = -1;
    appender->producer_expiry_ms = INT64_MAX;
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
        el_file_close(&appender->aborted_index_fd);
    }
    appender->segment_base = -1;
}

void el_appender_free(el_appender *appender) {
    close_segment(appender);
    if (appender->producers != NULL)
        munmap(appender->producers, appender->producers_bytes);
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
    if (status == EL_DONE) {
        files[0] = files[1] = files[2] = -1;
        appender->aborted_index_fd = el_file_take(&files[3]);
    }
    return status;
}

int el_appender_take_aborted_index(el_appender *appender, int64_t segment_base, int *file) {
    EL_ASSERT(has_flush_mutex(appender));
    int status = lock_append(appender);
    if (status != EL_DONE)
        return status;
    if (appender->segment_base == segment_base && appender->aborted_index_fd < 0)
        appender->aborted_index_fd = el_file_take(file);
    el_head_unlock_append(appender->head);
    return EL_DONE;
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
    if (atomic_load(&head->aborting)) {
        if (appender->aborted_index_fd < 0)
            return EL_ABORTED_INDEX_NEEDED;
        if (truncate_to(appender->aborted_index_fd, head->tail.aborted_index_bytes) != 0)
            return poison(appender, errno);
        EL_FAULT_POINT("discard.aborted");
        atomic_store(&head->aborting, 0);
    }
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

/* What an append changes in the table of producers: an entry, by the one batch of the unit. */
typedef struct transition {
    el_batch batch;
    int kind; /* EL_TRANSACTION_DATA, which does not mean that there is a transaction, or what a marker does */
    int32_t coordinator_epoch;
    uint32_t slot;
    el_producer producer; /* as it will be */
    int64_t transaction_start; /* that a marker ends */
    el_sequencing *sequencing;
} transition;

/* Can the table be used as it is? */
static int check_table(const el_appender *appender) {
    el_producers *table = appender->producers;
    int64_t published = appender->head->tail.producers_offset;
    if (table == NULL || !atomic_load(&table->is_ready) || el_producers_bytes(table->capacity) > appender->producers_bytes)
        return EL_PRODUCERS_BEHIND;
    el_producers_settle(table, published);
    return table->end_offset < published ? EL_PRODUCERS_BEHIND : EL_DONE;
}

static int begin_records(el_appender *appender, transition *transition, int64_t now_ms, int64_t *first_offset) {
    const el_producers *table = appender->producers;
    el_producer *producer = &transition->producer;
    int is_expired = producer->id >= 0 && producer->transaction_start < 0 && now_ms - producer->last_ms > appender->producer_expiry_ms;
    if (producer->id < 0 && !el_producers_has_room(table))
        return EL_PRODUCERS_BEHIND;
    if (is_expired || producer->id < 0)
        *producer = (el_producer){.id = -1, .transaction_start = -1, .coordinator_epoch = -1, .epoch = -1};
    int status = el_producer_check(producer, &transition->batch, transition->sequencing, first_offset);
    producer->id = transition->batch.producer_id;
    return status;
}

/* Where the producer has no transaction open, the marker of a later epoch still has to fence it: it may be about to append. */
static int begin_marker(const el_producers *table, transition *transition) {
    el_producer *producer = &transition->producer;
    transition->transaction_start = producer->id < 0 ? -1 : producer->transaction_start;
    int fences = transition->kind == EL_TRANSACTION_ABORT && el_producer_is_fenced_by(producer, &transition->batch);
    if (transition->transaction_start < 0 && !fences)
        return EL_NO_TRANSACTION;
    if (producer->id < 0 && !el_producers_has_room(table))
        return EL_PRODUCERS_BEHIND;
    if (producer->id < 0)
        *producer = el_producer_new(&transition->batch);
    if (transition->batch.producer_epoch < producer->epoch)
        return EL_PRODUCER_FENCED;
    return transition->coordinator_epoch < producer->coordinator_epoch ? EL_COORDINATOR_FENCED : EL_DONE;
}

/* May the batch be appended? Finds its producer. */
static int begin_transition(el_appender *appender, transition *transition, int64_t *first_offset) {
    int status = check_table(appender);
    if (status != EL_DONE)
        return status;
    transition->slot = el_producers_find(appender->producers, transition->batch.producer_id);
    transition->producer = appender->producers->slots[transition->slot];
    transition->sequencing->epoch = transition->producer.epoch;
    return transition->kind == EL_TRANSACTION_DATA ? begin_records(appender, transition, el_now_ms(), first_offset)
                                                     : begin_marker(appender->producers, transition);
}

/* The earliest open transaction once the batch is published at this offset. */
static int64_t next_unstable(const el_appender *appender, const transition *transition, int64_t offset) {
    const el_producers *table = appender->producers;
    int64_t first_unstable = appender->head->tail.first_unstable;
    if (transition->kind == EL_TRANSACTION_DATA)
        return first_unstable < 0 && transition->producer.transaction_start == offset ? offset : first_unstable;
    if (transition->transaction_start < 0)
        return first_unstable;
    if (table->open_transactions == 1)
        return -1;
    return transition->transaction_start == first_unstable ? el_producers_first_open(table, transition->slot) : first_unstable;
}

static int aborts_records(const transition *transition) {
    return transition->kind == EL_TRANSACTION_ABORT && transition->transaction_start >= 0;
}

/* Unlike another index, this one has to be complete: without the entry, readers would take the records for committed ones. */
static int write_aborted_entry(el_appender *appender, const transition *transition, el_tail *next) {
    uint8_t bytes[EL_ABORTED_ENTRY_BYTES];
    int64_t marker = next->end_offset - 1, stable = next->first_unstable < 0 ? next->end_offset : next->first_unstable;
    el_aborted_entry entry = {transition->batch.producer_id, transition->transaction_start, marker, stable};
    el_aborted_entry_write(bytes, &entry);
    atomic_store(&appender->head->aborting, 1);
    EL_FAULT_POINT("aborted.begun");
    int error_number = write_fully(appender->aborted_index_fd, bytes, sizeof bytes, next->aborted_index_bytes);
    EL_FAULT_POINT("aborted.written");
    if (error_number != 0 && !has_no_room(error_number))
        return poison(appender, error_number);
    if (error_number != 0) {
        int status = discard_unpublished(appender);
        return status == EL_DONE ? fail_for_room(appender, error_number) : status;
    }
    next->aborted_index_bytes += EL_ABORTED_ENTRY_BYTES;
    next->aborts++;
    return EL_DONE;
}

/* The batch is about to be published: complete the tail, and prepare the table. */
static int note_transition(el_appender *appender, transition *transition, int64_t offset, el_tail *next) {
    int is_marker = transition->kind != EL_TRANSACTION_DATA;
    int64_t now_ms = el_now_ms();
    if (is_marker)
        el_producer_end(&transition->producer, transition->batch.producer_epoch, transition->coordinator_epoch, now_ms);
    else
        el_producer_note(&transition->producer, &transition->batch, offset, now_ms);
    next->first_unstable = next_unstable(appender, transition, offset);
    next->producers_offset = next->end_offset;
    if (is_marker)
        next->marker_end = next->end_offset;
    int status = aborts_records(transition) ? write_aborted_entry(appender, transition, next) : EL_DONE;
    if (status == EL_DONE)
        el_producers_prepare(appender->producers, transition->slot, &transition->producer, next->end_offset);
    return status;
}

static void finish_transition(el_appender *appender) {
    el_producers_commit(appender->producers);
    atomic_store(&appender->head->aborting, 0);
    EL_FAULT_POINT("aborted.finished");
}

/* With the append mutex held. `transition` is NULL if no batch has a producer's id. */
static int append_locked(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int may_wait,
                         int64_t *end_offset, transition *transition, int64_t *first_offset) {
    el_head *head = appender->head;
    EL_ASSERT(has_append_mutex(appender) && !atomic_load(&head->next_is_complete));
    int status = check_may_append(appender, settings_version);
    if (status == EL_DONE)
        status = check_end(head, end_offset);
    if (status == EL_DONE && !may_wait && !is_ready_for(appender, length))
        return EL_LOCK_TIMEOUT;
    if (status == EL_DONE && atomic_load_explicit(&head->writing, memory_order_relaxed))
        status = discard_unpublished(appender);
    if (status == EL_DONE && transition != NULL)
        status = begin_transition(appender, transition, first_offset);
    if (status == EL_DONE)
        status = check_room(appender, batches, length);
    if (status == EL_DONE && transition != NULL && aborts_records(transition) && appender->aborted_index_fd < 0)
        status = EL_ABORTED_INDEX_NEEDED;
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
    if (status == EL_DONE && transition != NULL)
        status = note_transition(appender, transition, *first_offset, &next);
    if (status != EL_DONE)
        return status;
    el_head_publish(head, &next);
    if (transition != NULL)
        finish_transition(appender);
    return EL_DONE;
}

static int64_t append_batches(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int may_wait,
                              int64_t *end_offset, transition *transition) {
    int64_t first_offset = -1;
    if (atomic_load_explicit(&appender->is_retired, memory_order_relaxed) != 0)
        return EL_SEGMENT_CHANGED; /* do not wait: in a forked child, the thread that holds the mutex does not exist */
    int status = lock_append_within(appender, may_wait ? appender->lock_timeout_ms : 0);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("append.locked");
    status = append_locked(appender, batches, length, settings_version, may_wait, end_offset, transition, &first_offset);
    el_head_unlock_append(appender->head);
    if (status == EL_DUPLICATE)
        return first_offset;
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("append.unlocked");
    el_head_wake(appender->head, appender->signals);
    return first_offset;
}

int64_t el_append_unit(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version) {
    return append_batches(appender, batches, length, settings_version, 1, NULL, NULL);
}

int64_t el_append_unit_if(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int64_t *end_offset) {
    return append_batches(appender, batches, length, settings_version, 1, end_offset, NULL);
}

static int has_producer(const uint8_t *batches, size_t length) {
    el_batch batch;
    for (size_t at = 0; at < length && el_batch_parse(batches + at, length - at, &batch) == EL_CODEC_OK; at += (size_t)batch.size_bytes)
        if (batch.producer_id >= 0)
            return 1;
    return 0;
}

int64_t el_append_produced(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int may_wait,
                           el_sequencing *sequencing) {
    transition transition = {.kind = EL_TRANSACTION_DATA, .sequencing = sequencing};
    *sequencing = (el_sequencing){0};
    if (!has_producer(batches, length))
        return append_batches(appender, batches, length, settings_version, may_wait, NULL, NULL);
    if (el_batch_parse(batches, length, &transition.batch) != EL_CODEC_OK || (size_t)transition.batch.size_bytes != length)
        return EL_UNIT_OF_PRODUCERS;
    return append_batches(appender, batches, length, settings_version, may_wait, NULL, &transition);
}

/* Write the control batch that ends a transaction. Its record has the key i16 version, i16 type, and the value i16 version, i32 epoch of
 * the coordinator. */
static size_t write_marker(uint8_t *data, size_t capacity, transition *transition, int64_t producer_id, int16_t epoch) {
    uint8_t key[4], value[6];
    el_batch_writer writer;
    el_store_16(key, 0);
    el_store_16(key + 2, (uint16_t)transition->kind);
    el_store_16(value, 0);
    el_store_32(value + 2, (uint32_t)transition->coordinator_epoch);
    el_batch_begin(&writer, data, capacity);
    el_batch_add(&writer, el_now_ms(), key, sizeof key, value, sizeof value, NULL, 0, 0);
    size_t length = el_batch_finish(&writer, EL_ATTRIBUTE_TRANSACTIONAL | EL_ATTRIBUTE_CONTROL);
    el_batch_parse(data, length, &transition->batch);
    transition->batch.producer_id = producer_id;
    transition->batch.producer_epoch = epoch;
    el_batch_seal(data, &transition->batch);
    return length;
}

int64_t el_append_marker(el_appender *appender, int64_t producer_id, int16_t epoch, int32_t coordinator_epoch, int is_commit) {
    uint8_t data[EL_BATCH_HEADER_BYTES + 64];
    el_sequencing sequencing;
    transition transition = {.kind = is_commit ? EL_TRANSACTION_COMMIT : EL_TRANSACTION_ABORT, .sequencing = &sequencing,
                             .coordinator_epoch = coordinator_epoch};
    size_t length = write_marker(data, sizeof data, &transition, producer_id, epoch);
    uint32_t settings_version = el_head_settings_version(appender->head); /* a marker is the same under all settings */
    return append_batches(appender, data, length, settings_version, 1, NULL, &transition);
}

int el_appender_use_producers(el_appender *appender, int fd) {
    struct stat file;
    if (fstat(fd, &file) != 0 || file.st_size < (off_t)sizeof(el_producers))
        return fail(appender, EL_IO_ERROR, ENODATA);
    size_t bytes = (size_t)file.st_size;
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return EL_NO_MEMORY;
    int status = lock_append(appender);
    if (status == EL_DONE) {
        void *former = appender->producers;
        size_t former_bytes = appender->producers_bytes;
        appender->producers = mapped;
        appender->producers_bytes = bytes;
        el_head_unlock_append(appender->head);
        mapped = former;
        bytes = former_bytes;
    }
    if (mapped != NULL)
        munmap(mapped, bytes);
    return status;
}

static int install_locked(el_appender *appender, const el_producers *built) {
    el_producers *table = appender->producers;
    size_t bytes = el_producers_bytes(built->capacity);
    if (table == NULL || bytes > appender->producers_bytes || built->end_offset < appender->head->tail.producers_offset)
        return EL_PRODUCERS_BEHIND;
    if (check_table(appender) == EL_DONE && el_producers_has_room(table))
        return EL_DONE; /* another thread was faster */
    atomic_store(&table->is_ready, 0);
    EL_FAULT_POINT("producers.unready");
    memcpy((uint8_t *)table + offsetof(el_producers, capacity), (const uint8_t *)built + offsetof(el_producers, capacity),
           bytes - offsetof(el_producers, capacity));
    table->magic = EL_PRODUCERS_MAGIC;
    EL_FAULT_POINT("producers.copied");
    atomic_store(&table->is_ready, 1);
    EL_FAULT_POINT("producers.ready");
    return EL_DONE;
}

int el_producers_install(el_appender *appender, const el_producers *built) {
    int status = lock_append(appender);
    if (status != EL_DONE)
        return status;
    status = install_locked(appender, built);
    el_head_unlock_append(appender->head);
    return status;
}

int el_producers_read(el_appender *appender, el_producers *copy, size_t bytes_max, size_t *bytes) {
    int status = lock_append(appender);
    if (status != EL_DONE)
        return status;
    status = check_table(appender);
    if (status == EL_DONE) {
        *bytes = el_producers_bytes(appender->producers->capacity);
        if (*bytes > bytes_max)
            status = EL_NO_MEMORY;
        else
            memcpy(copy, appender->producers, *bytes);
    }
    el_head_unlock_append(appender->head);
    return status;
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

int el_appender_rest(el_appender *appender, int durable) {
    el_head *head = appender->head;
    int is_closed = 0;
    if (el_head_lock_flush(head, 0, &appender->holder) != EL_DONE)
        return 0;
    if (lock_append_within(appender, 0) == EL_DONE) {
        int is_needed = durable && head->tail.end_offset > el_head_durable_offset(head);
        if (!is_needed && !atomic_load_explicit(&head->writing, memory_order_relaxed) && !atomic_load(&appender->is_retired)) {
            close_segment(appender);
            is_closed = 1;
        }
        el_head_unlock_append(head);
    }
    el_head_unlock_flush(head);
    return is_closed;
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
                         : append_batches(appender, data, length, encoding->settings_version, may_wait, NULL, NULL);
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
        synced(appender->time_index_fd, fsync) != 0 || (appender->aborted_index_fd >= 0 && synced(appender->aborted_index_fd, fsync) != 0))
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
        .first_unstable = head->tail.first_unstable,
        .producers_offset = head->tail.producers_offset,
        .marker_end = head->tail.marker_end,
        .aborts = head->tail.aborts,
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
