/* The head of a partition: one page, mapped by every process that has the partition open.
 *
 *   byte    0  identity         in which boot, and for which file, this page was initialised
 *          64  published        what readers see: written last, read without a lock
 *         128  watches          the bells of threads that wait for the published offsets; how flushes are shared
 *         192  append mutex     robust and process-shared; guards everything from byte 384
 *         256  flush mutex      robust and process-shared; held across fdatasync and a roll
 *         320  holders, limits  which process holds a mutex (for error messages); the topic's settings
 *         384  tail             the state an append continues from
 *         512  next             the tail that an append is about to publish
 *         640  checkpoint       the last durable position, with a checksum: survives a reboot
 *         672  seal             once the last process has closed the partition, a checksum of all before the checkpoint except the watches
 *
 * Crash safety within one boot rests on the order of stores. An append sets `writing`, writes its
 * bytes, fills in `next`, sets `next_is_complete`, copies next to tail, publishes the end offset, and
 * clears both flags. A thread that takes the mutex after its holder died completes the copy if `next`
 * was complete; otherwise the next writer cuts off the bytes that were never published.
 *
 * Nothing here is authoritative: after a reboot the page is rebuilt from the .log files.
 *
 * Which memory orders pair. A field that is not listed is touched only with the append or the flush mutex held, or by the one
 * process that has the page mapped; then the mutex, or the lock on the file, orders it.
 *
 *   stored by                 pairs with              so that
 *   ------------------------  ----------------------  -------------------------------------------------------------------------
 *   end_offset, release:      acquire: readers,       a reader that knows of an offset finds all bytes before it in the file, and
 *     publish, complete         waiters                 in segments_version the list of segments that holds them
 *   first_unstable, aborts,   acquire, after the    a reader that knows an end offset knows of every transaction that is open
 *     relaxed: publish,         end offset: readers   before it, and the number of those aborted. Both are stored once `next`
 *     complete, before                                is complete, so that no marker can get lost on which a reader has relied
 *     end_offset
 *   durable_offset, release:  acquire: readers,       everything before it is on disk: the sync has returned
 *     store_durable             waiters, el_flush
 *   start_offset, seq_cst:    acquire: readers        a reader that finds a segment's file gone also finds the new start
 *     advance_start
 *   segments_version,         acquire: readers        a reader that sees the new number lists the directory as it is since. After
 *     seq_cst: roll,                                    a roll it is counted before `sealing` is cleared, so before the first end
 *     segments_changed                                  offset that needs the new segment
 *   settings_version,         acquire: before the     settings that are loaded after the number was read are those of this
 *     seq_cst, under the        settings are loaded     number or later ones; an append compares the number under the mutex
 *     append mutex
 *   may_have_gaps, seq_cst    acquire: readers        it is set before the first file without some records is put in place
 *   poison, seq_cst           acquire: everybody;     nothing depends on when it is seen: what failed was not published
 *                               relaxed: appenders
 *   next_is_complete = 1,     acquire:                `next` is whole. Then each field of the tail is stored by release, in order,
 *     release                   active_segment          and at last next_is_complete = 0: active_segment, which reads base,
 *                                                       position and base again by acquire, notices a change in between
 *   writing = 1, then a       the append mutex,       the bytes are never in the file without the flag. The compiler's order is
 *     compiler fence            inherited               enough: a thread that inherits the mutex sees all that the dead one stored
 *   watch.bells: set, fence;  the number stored,      either the waiter sees the number, or the one who stores it sees the bell:
 *     then the number is        fence; then bells       both fences are seq_cst (signals.h)
 *     read                      are read
 *   is_ready, seal, seq_cst   the lock on the head    the lock's system calls order the whole page
 *                               file
 *   append_holder and         relaxed: error          they are only shown to people
 *     flush_holder, relaxed     messages */

#ifndef EVENTLOG_STORE_HEAD_H
#define EVENTLOG_STORE_HEAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "group_commit.h"
#include "signals.h"
#include "status.h"

#define EL_HEAD_BYTES 4096
#define EL_HEAD_MAGIC UINT64_C(0x3144414548564c45) /* "ELVHEAD1" in memory order */
#define EL_HEAD_LAYOUT 7

/* What an append continues from. All of it changes together or not at all. */
typedef struct el_tail {
    int64_t end_offset;
    int64_t segment_base;
    int64_t position;             /* bytes of the active segment that hold batches */
    int64_t index_bytes;
    int64_t time_index_bytes;
    int64_t bytes_since_index;
    int64_t max_timestamp;        /* of the active segment, -1: none */
    int64_t max_timestamp_offset; /* last offset of the batch that holds it */
    int64_t indexed_timestamp;    /* the last entry in the time index, -1: none */
    int64_t first_timestamp;      /* of the segment's first batch, -1: none; the roll by time counts from it */
    int64_t first_unstable;       /* where the earliest open transaction began, -1: none is open */
    int64_t producers_offset;     /* behind the last batch with a producer's id, -1: none was appended */
    int64_t marker_end;           /* behind the last marker that ended a transaction, -1: none */
    int64_t aborted_index_bytes;  /* of the active segment's .txnindex */
    int64_t aborts;               /* counts aborted transactions: readers list them again */
} el_tail;

typedef struct el_limits {
    int64_t segment_bytes;
    int64_t segment_ms;
    int64_t index_interval_bytes;
    int32_t leader_epoch;
    int32_t reserved;
} el_limits;

typedef struct el_checkpoint {
    int64_t segment_base;
    int64_t position;
    int64_t offset;
    uint32_t checksum;
    uint32_t reserved;
} el_checkpoint;

typedef struct el_head {
    uint64_t magic;
    uint32_t layout;
    _Atomic uint32_t is_ready;
    uint8_t boot_id[16];
    uint64_t device;
    uint64_t inode;
    uint8_t pad_identity[16];

    _Atomic int64_t end_offset;
    _Atomic int64_t durable_offset;
    _Atomic int64_t start_offset;
    _Atomic uint32_t segments_version; /* counts rolls and deletions: readers list the directory again */
    _Atomic uint32_t poison;           /* errno of the I/O failure that poisoned the partition */
    _Atomic uint32_t may_have_gaps;    /* compaction or repair has taken records out, or may do so: offsets may have gaps */
    _Atomic uint32_t settings_version; /* counts changes of the topic's settings: appenders load them again */
    _Atomic int64_t settings_number;   /* the catalog transaction that decided the settings; 0: not known */
    _Atomic int64_t first_unstable;    /* of the tail: stored before the end offset */
    _Atomic int64_t aborts;

    el_watch watch;
    el_group_commit group;
    uint8_t pad_watches[32];

    union {
        pthread_mutex_t mutex;
        uint8_t bytes[64];
    } append;
    union {
        pthread_mutex_t mutex;
        uint8_t bytes[64];
    } flush;

    _Atomic int32_t append_holder; /* process ids, for error messages */
    _Atomic int32_t flush_holder;
    el_limits limits;
    int64_t allocated; /* bytes of the active segment that have disk space behind them */
    _Atomic uint32_t writing;
    _Atomic uint32_t next_is_complete;
    _Atomic uint32_t sealing;
    _Atomic uint32_t aborting; /* an entry may be in the .txnindex whose marker is not published */

    el_tail tail;
    uint8_t pad_tail[8];
    el_tail next;
    uint8_t pad_next[8];
    el_checkpoint checkpoint;
    _Atomic uint32_t seal; /* 0: the partition is in use, or its last user was killed */
} el_head;

_Static_assert(sizeof(pthread_mutex_t) <= 64, "a mutex has 64 bytes in the head");
_Static_assert(offsetof(el_head, end_offset) == 64, "published state has a cache line of its own");
_Static_assert(offsetof(el_head, watch) == 128, "the watches have a cache line of their own");
_Static_assert(offsetof(el_head, append) == 192, "append mutex");
_Static_assert(offsetof(el_head, flush) == 256, "flush mutex");
_Static_assert(offsetof(el_head, append_holder) == 320, "holders and limits");
_Static_assert(offsetof(el_head, tail) == 384, "tail");
_Static_assert(offsetof(el_head, next) == 512, "next tail");
_Static_assert(offsetof(el_head, checkpoint) == 640, "checkpoint");
_Static_assert(offsetof(el_head, seal) == 672, "seal");
_Static_assert(sizeof(el_head) <= EL_HEAD_BYTES, "the head is one page");

/* Map the head file behind `fd` (EL_HEAD_BYTES long). NULL with errno set on failure. */
el_head *el_head_map(int fd);
void el_head_unmap(el_head *head);

/* The same for reading only: a store into the page would end the process. */
el_head *el_head_map_to_read(int fd);

/* Was this page initialised in this boot and for this very file, has no I/O failure poisoned it, and does the seal match if there
 * is one? */
int el_head_is_trusted(const el_head *head, const uint8_t boot_id[16], uint64_t device, uint64_t inode);

/* Store a checksum, by which later users can tell whether a bit of the page has changed. The caller holds the head file's exclusive
 * lock. */
void el_head_seal(el_head *head);
int el_head_is_sealed(const el_head *head);
/* Is one of its mutexes held? For a caller that is the only one to have the page mapped. */
int el_head_is_locked(const el_head *head);
/* The page is about to change. */
void el_head_unseal(el_head *head);

/* The tail that the next append will continue from, read without the append mutex: no other process has the page mapped. Returns 1 if
 * its publication was begun and not completed; then the end offset may still be the former one. */
int el_head_peek(const el_head *head, el_tail *tail);

/* The last durable position that a former boot left. Returns 1 if its checksum and the file's identity are right. */
int el_head_former_checkpoint(const el_head *head, uint64_t device, uint64_t inode, el_checkpoint *checkpoint);

/* Write a new page that says that everything up to `tail` is durable. The caller holds the head file's exclusive lock: no other
 * process has it mapped. With `keep_checkpoint` the former checkpoint stays: it shows what a damaged partition has lost. */
void el_head_initialise(el_head *head, const uint8_t boot_id[16], uint64_t device, uint64_t inode, const el_tail *tail,
                        const el_limits *limits, int64_t start_offset, int64_t allocated, int may_have_gaps,
                        int keep_checkpoint);

int64_t el_head_end_offset(const el_head *head);
int64_t el_head_durable_offset(const el_head *head);
int64_t el_head_start_offset(const el_head *head);
/* The last stable offset: all transactions with records before it have ended. */
int64_t el_head_stable_offset(const el_head *head);
/* How many transactions were aborted; read it after the offset up to which that has to be known. */
int64_t el_head_aborts(const el_head *head);
/* The offset behind the last marker; it may already be behind an end offset that was read before. */
int64_t el_head_marker_end(const el_head *head);
/* The offset behind the last batch with a producer's id; -1: none. */
int64_t el_head_producers_offset(const el_head *head);
uint32_t el_head_segments_version(const el_head *head);
uint32_t el_head_poison(const el_head *head);
int el_head_may_have_gaps(const el_head *head);
uint32_t el_head_settings_version(const el_head *head);
/* Has a roll begun that is not finished? */
int el_head_is_sealing(const el_head *head);

/* Bring `head`, a page that only this process has, up to the published state of another one, which is only read, and wake those who
 * wait for it. Does nothing while the other page is being initialised. Several threads may call it. */
void el_head_follow(el_head *head, const el_head *followed, el_signals *signals);

/* Lock a mutex, waiting at most timeout_ms. EL_DONE, or EL_LOCK_TIMEOUT with the process that holds it in *holder. The kernel
 * notices that a holder has died; then its unfinished work is completed or discarded. */
int el_head_lock_append(el_head *head, el_signals *signals, int64_t timeout_ms, int32_t *holder);
void el_head_unlock_append(el_head *head);
/* The same, or EL_HELD_ALREADY. *holder is 0 once the mutex is locked, so that a caller that is interrupted can tell. */
int el_head_lock_flush(el_head *head, int64_t timeout_ms, int32_t *holder);
void el_head_unlock_flush(el_head *head);

/* Unlock it if *holder is 0, which means that it was locked; then *holder is no longer 0. */
void el_head_release_flush(el_head *head, int32_t *holder);

/* Publish the tail to all processes. Call with the append mutex held. */
void el_head_publish(el_head *head, const el_tail *next);

/* Record that everything before this position is on disk, and wake the waiters. Call with the flush mutex held. */
void el_head_store_durable(el_head *head, el_signals *signals, int64_t segment_base, int64_t position, int64_t offset);

/* Let the partition begin at `offset`, unless it already begins later, and wake the waiters. */
void el_head_advance_start(el_head *head, el_signals *signals, int64_t offset);

/* Sealed segments were deleted or replaced: all readers are to list the directory again. */
void el_head_segments_changed(el_head *head);

/* Where the active segment begins, and how many bytes of it hold batches. The two belong together, but may be out of date at once. */
void el_head_active_segment(const el_head *head, int64_t *segment_base, int64_t *position);

/* The topic's settings were changed by the catalog transaction of this number: from now on the appends of all processes obey the new
 * limits. A head that has the settings of a later transaction is left as it is, so that this can be repeated, and done late. That
 * there may be gaps is stored even if the append mutex cannot be had. EL_DONE or EL_LOCK_TIMEOUT. */
int el_head_change_settings(el_head *head, el_signals *signals, const el_limits *limits, int may_have_gaps, int64_t number,
                            int64_t timeout_ms, int32_t *holder);
int64_t el_head_settings_number(const el_head *head);

/* Records are about to be taken out of the middle. */
void el_head_allow_gaps(el_head *head);

/* A copy of the tail, taken under the append mutex. */
int el_head_snapshot(el_head *head, el_signals *signals, int64_t timeout_ms, el_tail *tail, int32_t *holder);

/* Refuse all writes from now on. The first failure's errno is kept. */
void el_head_set_poison(el_head *head, int error_number);

/* The same for a topic that was deleted, even if a failure was stored before. */
void el_head_set_deleted(el_head *head, int error_number);

/* Wake all threads that wait for this partition, in any process. */
void el_head_wake(el_head *head, el_signals *signals);

/* Fill in the condition that a record at `offset` exists (with `durable`: is on disk). */
void el_head_await(el_head *head, int64_t offset, int durable, el_awaited *awaited);

#endif
