/* The write path of one partition in one process.
 *
 * Batches arrive encoded, with base offset 0. Under the append mutex they get their offsets, are written behind the
 * last batch (small ones by memory copy into a map of the preallocated segment, large ones by pwrite), and are then
 * published all at once.
 *
 * The file descriptors change only while both mutexes of the head are held. So a flush, which holds one of them, and an append, which
 * holds the other, may use them. */

#ifndef EVENTLOG_STORE_APPENDER_H
#define EVENTLOG_STORE_APPENDER_H

#include <stddef.h>
#include <stdint.h>

#include "head.h"
#include "producers.h"

/* How records are encoded under one version of a topic's settings. It is used and replaced as a whole: a mixture of two versions would
 * be appended under the number of the later one. */
typedef struct el_encoding {
    uint32_t settings_version; /* of the head, when the settings were loaded */
    int16_t attributes;        /* EL_ATTRIBUTE_LOG_APPEND_TIME, or 0 */
    int16_t compresses;        /* el_append_record cannot do it, and returns EL_SETTINGS_CHANGED */
    int16_t needs_keys;        /* so it does for a record without a key */
    int64_t batch_bytes_max;   /* a larger batch is split, a larger record is refused */
} el_encoding;

typedef struct el_appender {
    el_head *head;
    el_signals *signals;
    uint8_t *window;      /* a map of part of the active segment, or NULL */
    int64_t window_start; /* its position in the file */
    int64_t populated;    /* the window's pages before this position have been faulted in for writing */
    int64_t segment_base; /* the segment that the descriptors belong to, -1: none */
    int log_fd;
    int index_fd;
    int time_index_fd;
    int aborted_index_fd;    /* -1: it was not there when the segment was opened */
    el_producers *producers; /* mapped, or NULL */
    size_t producers_bytes;
    int64_t producer_expiry_ms; /* a producer that has appended nothing for so long is not known any more */
    int process_id;
    _Atomic int is_retired;
    int can_map; /* 0 if preallocated blocks are not overwritten in place: a map would end in SIGBUS on a full disk */
    int flush_always;    /* each append is followed by a flush */
    el_encoding encoding; /* replaced with the interpreter lock held; a thread that releases that lock copies it first */
    int64_t lock_timeout_ms;
    /* The end offset when the partition was opened: the log up to there may end in a transaction marker, which is not a record. -1: it
     * does not. What has been appended since ends in a record. */
    int64_t unsure_end;
    /* What went wrong last, for the error message. */
    int error_number;
    int32_t holder;
} el_appender;

el_appender *el_appender_new(el_head *head, el_signals *signals, int64_t lock_timeout_ms, int flush_always);
void el_appender_free(el_appender *appender);

/* Use these descriptors, which the appender owns from now on, for the segment. Call with the flush mutex held, if other threads can use
 * the appender. */
int el_appender_attach(el_appender *appender, int64_t segment_base, int log_fd, int index_fd, int time_index_fd);

/* The same for cells as in file.h, which are empty once the appender owns their descriptors: log, index, time index, and the index
 * of aborted transactions, which may be missing. */
int el_appender_take(el_appender *appender, int64_t segment_base, int *files);

/* Append a unit: `length` bytes of whole batches, to be visible all at once. Their base offsets are filled in. Returns the
 * first offset, or a negative el_status with nothing appended; EL_SETTINGS_CHANGED if the topic's settings are no longer those of the
 * version under which they were encoded. */
int64_t el_append_unit(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version);

/* The same for batches that may have a producer's id, which is checked: such a batch is a unit of its own. If it was appended before,
 * nothing is appended, and the answer is the offset that it had then. Without may_wait, the answer is EL_LOCK_TIMEOUT where something has
 * to be waited for: somebody else has the mutex, or the segment has to grow or to be cut. */
int64_t el_append_produced(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int may_wait,
                           el_sequencing *sequencing);

/* End the open transaction of a producer by a marker. Returns its offset; EL_NO_TRANSACTION if none is open here, unless it is aborted in a
 * later epoch, of which the partition has to know; or another status. */
int64_t el_append_marker(el_appender *appender, int64_t producer_id, int16_t epoch, int32_t coordinator_epoch, int is_commit);

/* Map the file behind `fd`, a table of producers, and use it from now on. EL_DONE, EL_LOCK_TIMEOUT or EL_NO_MEMORY. */
int el_appender_use_producers(el_appender *appender, int fd);

/* Put a table that was built from the log into the mapped file. EL_PRODUCERS_BEHIND if the log has more of them by now, or the
 * file is too short. */
int el_producers_install(el_appender *appender, const el_producers *built);

/* Copy the mapped table into memory of `bytes_max`. EL_PRODUCERS_BEHIND if it does not have all producers of the log; EL_NO_MEMORY if it
 * needs more, which *bytes then says. */
int el_producers_read(el_appender *appender, el_producers *copy, size_t bytes_max, size_t *bytes);

/* Use this index of aborted transactions for the active segment; the cell is empty once the appender owns the descriptor. With the flush
 * mutex held. */
int el_appender_take_aborted_index(el_appender *appender, int64_t segment_base, int *file);

/* The same, but only if *end_offset is the log's end offset; otherwise the answer is EL_CONFLICT, and *end_offset the real one. NULL: in
 * any case. */
int64_t el_append_unit_if(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int64_t *end_offset);

/* Where in the active segment the next unit will begin, as far as can be told without the append mutex. */
int64_t el_appender_position(const el_appender *appender);

/* A record to append. Lengths of -1 mean null; timestamp -1 means now. Headers are encoded with el_header_write. */
typedef struct el_new_record {
    const uint8_t *value;
    const uint8_t *key;
    const uint8_t *headers;
    int64_t value_length;
    int64_t key_length;
    size_t headers_length;
    int64_t timestamp;
    int64_t stored_timestamp; /* filled in: the timestamp that it got in the log */
    int32_t header_count;
} el_new_record;

/* Encode one record as a batch of its own and append it. Without may_wait it returns EL_LOCK_TIMEOUT instead of waiting: if another
 * thread holds the mutex, or the segment has to be extended or cut. */
int64_t el_append_record(el_appender *appender, const el_encoding *encoding, el_new_record *record, int may_wait);

/* Append and flush nothing from now on: every attempt returns EL_SEGMENT_CHANGED. Returns once no thread is inside an append, a flush or
 * a roll. */
int el_appender_retire(el_appender *appender);

/* Close the files of a segment that takes no more appends, because there is a newer one, the topic was deleted, or the appender is
 * retired; the next append asks to attach. Nothing is done if other threads hold the mutexes for the whole time given. */
void el_appender_release(el_appender *appender, int64_t timeout_ms);

/* Close the files of the active segment for as long as nothing is appended or flushed: the next call asks to attach. Nothing is done while
 * somebody else has one of the mutexes, or, if it is to be `durable`, while something is not on disk. Returns whether they are closed. */
int el_appender_rest(el_appender *appender, int durable);

/* Milliseconds since the epoch. */

/* Put everything published so far on disk. Concurrent callers share one fdatasync. EL_SEGMENT_CHANGED asks to attach
 * first. Does nothing if the durable offset has reached `offset` already. */
int el_flush(el_appender *appender, int64_t offset);
/* The same, with the flush mutex held by the caller. */
int el_flush_locked(el_appender *appender);

/* The beginning and the end of a roll, both with the flush mutex held. Between them the segment takes no appends. */
int el_roll_begin(el_appender *appender, el_tail *sealed);
int el_roll_finish(el_appender *appender, int64_t segment_base);

/* Cut the active segment and its indexes behind the last batch. The caller holds the head file's exclusive lock: no process appends. */
int el_trim(el_appender *appender);

#endif
