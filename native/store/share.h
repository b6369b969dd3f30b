/* The page of a share group and a partition: which records its workers have, and which they have finished, each by itself.
 *
 *   byte     0  identity        in which boot, and for which group and file, this page was initialised
 *           64  mutex           robust and process-shared; guards everything but the words of acquired records
 *          128  window          the floor, the next offset, and what a claim has to know before it scans
 *          256  counters
 *         4096  seats           the epoch of the member whose claims have this seat
 *        12288  words           8 bytes a record, at its offset modulo the number of words, which is a power of two
 *
 * The window is what lies between the floor, before which every record is finished, and the next offset, which no worker has had
 * yet. The floor is also the group's committed offset: it is committed in the slot of the partition (acks.h), whose owner is
 * EL_SHARE_OWNER for as long as the group is a share group, so no consumer can commit beside it.
 *
 * A word has the state of one record, from its lowest bit on:
 *
 *   3 bits  state
 *   8       delivery count      how often the record was handed to code; 255 stands for more
 *  11       seat                of the worker that has it, while it is reserved or acquired
 *  36       time                milliseconds of the clock of leases: when the lock ends, or when the record may be handed out again
 *   6       lap                 the offset divided by the number of words
 *
 * A worker that has claimed a record knows its word, and settles the record by replacing exactly that word. So an answer that comes
 * too late, when the record was given to somebody else or the group was reset, finds another word and changes nothing.
 *
 * Every change is one store, and in an order in which a holder of the mutex may die between any two: hints are made more cautious
 * before the words they are about, words are complete before the next offset says that they count, and the floor follows words that
 * are finished already. A thread that takes the mutex after its holder died makes all hints as cautious as possible. */

#ifndef EVENTLOG_STORE_SHARE_H
#define EVENTLOG_STORE_SHARE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "acks.h"
#include "signals.h"
#include "status.h"

#define EL_SHARE_MAGIC UINT64_C(0x31524853564c45) /* "ELVSHR1" in memory order */
#define EL_SHARE_LAYOUT 1
#define EL_SHARE_WORDS_START 12288
#define EL_SHARE_WINDOW_MAX 65536
#define EL_SHARE_BYTES_MAX (EL_SHARE_WORDS_START + 8 * EL_SHARE_WINDOW_MAX)
#define EL_SHARE_OWNER (-1) /* of the slots of a share group */
#define EL_DELIVERIES_SHIFT 3
#define EL_DELIVERIES_MAX 255

enum el_share_state {
    EL_SHARE_EMPTY = 0,
    EL_SHARE_AVAILABLE = 1,    /* given back: to be handed out again */
    EL_SHARE_WAITING = 2,      /* given back, and not to be handed out before its time */
    EL_SHARE_RESERVED = 3,     /* claimed ahead: no code has seen it */
    EL_SHARE_ACQUIRED = 4,     /* handed to code */
    EL_SHARE_ACKNOWLEDGED = 5, /* finished */
    EL_SHARE_ARCHIVED = 6,     /* finished without success: it was rejected, or delivered too often */
    EL_SHARE_STATES = 7,
};

typedef struct el_share_page {
    uint64_t magic;
    uint32_t layout;
    _Atomic uint32_t is_ready;
    uint8_t boot_id[16];
    uint64_t device;
    uint64_t inode;
    int64_t incarnation; /* of the group, as in its own file */
    uint32_t words_count;
    uint32_t pad_identity;

    union {
        pthread_mutex_t mutex;
        uint8_t bytes[64];
    } lock;

    _Atomic int64_t floor;
    _Atomic int64_t next;
    _Atomic int64_t first_available; /* no record before it is available */
    _Atomic int64_t earliest_ms;     /* no lock ends, and no record becomes available, before this time */
    _Atomic int64_t decided_by;      /* the reset of the slot that the window follows; negative: it is being emptied */
    _Atomic int64_t changes;         /* grows when records become available again */
    el_watch watch;                  /* of workers that wait for that */
    _Atomic int32_t holder;          /* process id, for error messages */
    uint8_t pad_window[68];

    _Atomic int64_t acknowledged; /* counters since the page was initialised; none is exact after a process has died */
    _Atomic int64_t archived;
    _Atomic int64_t released;
    _Atomic int64_t expired; /* locks that ended */
    _Atomic uint32_t seal;   /* 0: the page is in use, or its last user was killed */
    uint8_t pad_header[3804];

    _Atomic int64_t seats[EL_SEATS];
    _Atomic uint64_t words[];
} el_share_page;

_Static_assert(offsetof(el_share_page, lock) == 64, "the mutex");
_Static_assert(offsetof(el_share_page, floor) == 128, "the window");
_Static_assert(offsetof(el_share_page, acknowledged) == 256, "counters");
_Static_assert(offsetof(el_share_page, seats) == 4096, "seats");
_Static_assert(offsetof(el_share_page, words) == EL_SHARE_WORDS_START, "words");

/* The length of the file of a page with so many words. */
size_t el_share_bytes(uint32_t words_count);

/* Map the file behind `fd`, with room for EL_SHARE_WINDOW_MAX words, of which only those may be used that the file is long enough for.
 * NULL with errno set on failure. */
el_share_page *el_share_map(int fd);
void el_share_unmap(el_share_page *page);

/* Was this file of `length` bytes initialised in this boot, for this group and for this very file, and does the seal match if there is
 * one? */
int el_share_is_trusted(const el_share_page *page, const uint8_t boot_id[16], uint64_t device, uint64_t inode, int64_t incarnation,
                        size_t length);
void el_share_seal(el_share_page *page, size_t length);
void el_share_unseal(el_share_page *page);
/* The caller is the only one that has it mapped. */
void el_share_initialise(el_share_page *page, const uint8_t boot_id[16], uint64_t device, uint64_t inode, int64_t incarnation,
                         uint32_t words_count);
/* The same: initialise the mutex again if a thread that is no more holds it. */
void el_share_free(el_share_page *page);

/* One worker's view of a page, for any number of its threads. */
typedef struct el_share {
    el_share_page *page;
    el_signals *signals;
    el_ack *ack; /* the slot of the partition, with the member epoch EL_SHARE_OWNER; used with the mutex held */
    int64_t member_epoch;
    int64_t timeout_ms;
    int64_t start; /* where the group begins if nothing was committed */
    uint32_t seat;
    int32_t process_id;
    int64_t lock_ms;       /* how long a claim lasts */
    int64_t locks_max;     /* how far the next offset may be from the floor */
    int32_t delivery_limit; /* a record that was handed out so often, and is not finished, is archived */
    int32_t holder;         /* with EL_LOCK_TIMEOUT: the process that holds the mutex */
    _Atomic int32_t is_over; /* the worker is being closed: it claims nothing any more */
} el_share;

/* What was claimed: offsets in ascending order, and their words. */
typedef struct el_claim {
    int32_t capacity;
    int32_t count;
    int64_t *offsets;
    uint64_t *words;
} el_claim;

/* Claim up to claim->capacity records before `end`, those first that were given back. They are acquired, which counts a delivery, or
 * with `ahead` only reserved. If there is nothing else, records that other threads have reserved are taken from them.
 *
 * EL_DONE with claim->count, which may be 0; EL_LOCK_TIMEOUT; EL_STALE_MEMBER if the group was deleted, or is no share group any more;
 * EL_CLOSED. */
int el_share_claim(el_share *share, int64_t end, int ahead, el_claim *claim);

/* Let the worker claim nothing any more. What it has claimed by then is given back by el_share_reap. */
void el_share_end(el_share *share);

/* Begin the work on a record that was reserved: it is acquired, with a new lock, and *word is its new word. EL_DONE, or EL_NOT_ACQUIRED
 * if it was taken away. */
int el_share_start(el_share *share, int64_t offset, uint64_t *word);

/* Finish records, each of which has to have its word still: *refused is how many had not, and nothing became of these. EL_DONE, or what
 * kept the floor from being moved; the records are finished nevertheless, except with EL_CLOSED. */
int el_share_accept(el_share *share, const int64_t *offsets, const uint64_t *words, int32_t count, int32_t *refused);

/* The same for one record. EL_DONE, EL_NOT_ACQUIRED, or what kept the floor from being moved. */
int el_share_accept_one(el_share *share, int64_t offset, uint64_t word);

/* Give a record back, to be handed out again after `delay_ms`; if it was delivered too often, it is archived instead, and *is_archived
 * is set. Without `counted` the delivery does not count. EL_DONE, EL_NOT_ACQUIRED, EL_LOCK_TIMEOUT. */
int el_share_release(el_share *share, int64_t offset, uint64_t word, int64_t delay_ms, int counted, int *is_archived);

/* Finish a record without success. EL_DONE, EL_NOT_ACQUIRED, or what kept the floor from being moved. */
int el_share_reject(el_share *share, int64_t offset, uint64_t word);

/* Begin the lock of a record anew. EL_DONE with the new word, or EL_NOT_ACQUIRED. */
int el_share_renew(el_share *share, int64_t offset, uint64_t *word, int64_t lock_ms);

/* Give back all that the member with this seat and epoch has; what was handed to its code counts as delivered if `counted`. Nothing
 * happens if another member has the seat by now. Stores how many records were archived. EL_DONE or EL_LOCK_TIMEOUT. */
int el_share_reap(el_share *share, uint32_t seat, int64_t member_epoch, int counted, int64_t *archived);

/* The seats that are taken, and by whom: their number; both arrays have EL_SEATS elements. */
int32_t el_share_seated(const el_share_page *page, uint32_t *seats, int64_t *member_epochs);

int64_t el_share_floor(const el_share_page *page);
int64_t el_share_next(const el_share_page *page);
int64_t el_share_changes(const el_share_page *page);
/* Counters by name, in the order in which they stand in the page: acknowledged, archived, released, expired. */
void el_share_counters(const el_share_page *page, int64_t counters[4]);
/* How many records of the window are in each state, without a lock: an array of EL_SHARE_STATES. */
void el_share_count(const el_share_page *page, int64_t *counts);
/* The state, the deliveries and the seat that a word stands for. */
void el_share_parse(uint64_t word, int32_t *state, int32_t *deliveries, uint32_t *seat);
/* Milliseconds until a lock ends or a delay is over, at the earliest; 0 if that may be now. -1: neither is to be waited for. */
int64_t el_share_due_ms(const el_share_page *page);
void el_share_await(el_share_page *page, int64_t known_changes, el_awaited *awaited);

#endif
