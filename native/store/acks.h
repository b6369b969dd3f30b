/* The page of a consumer group: committed offsets in slots, one a partition, mapped by every process that uses the group.
 *
 *   byte     0  identity        in which boot, and for which group and file, this page was initialised
 *           64  generation      what members wait for between commits
 *         4088  seal            once the last process has closed the group, a checksum of all the rest
 *         4096  seats           when each member was last seen active: the lease of a member that hangs
 *        20480  slots           128 bytes a partition:
 *
 *                 +0   mutex       robust and process-shared; guards owner and committed against each other
 *                 +64  committed   the offset that the group goes on from, -1: none; everything before it is acknowledged
 *                 +72  owner       the epoch of the member that may commit; 0: the partition has no owner
 *                 +80  persisted   the committed offset as the catalog has it
 *                 +88  committed_ms, watch, holder, leader_epoch
 *                 +112 decided_by   the number of the catalog transaction whose reset was applied here last; negative: it is being
 *                                   applied, and a thread that takes the mutex after its holder died completes it
 *                 +120 reset_offset the committed offset by that reset
 *
 * A commit takes the slot's mutex, checks that its member owns the slot, and stores the offset. A member that was
 * expelled cannot commit any more once the slot has another owner, however long it slept before it tried.
 * Every field is one store, so a holder that dies inside leaves nothing half done except a reset, which is completed.
 *
 * Ownership changes through the slot: the member that gives a partition up clears the owner, and the member that is to have it
 * becomes the owner once there is none. So a partition never has two owners. The catalog knows the number of slots.
 *
 * Within one boot the slots are authoritative for committed offsets; they reach the catalog in batches (`persisted`). After a
 * reboot the file is initialised from the catalog. */

#ifndef EVENTLOG_STORE_ACKS_H
#define EVENTLOG_STORE_ACKS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "signals.h"
#include "status.h"

#define EL_GROUP_MAGIC UINT64_C(0x314b4341564c45) /* "ELVACK1" in memory order */
#define EL_GROUP_LAYOUT 2
#define EL_SEATS 1024
#define EL_SLOTS_MAX 131072
#define EL_SLOT_BYTES 128
#define EL_SLOTS_START 20480
#define EL_GROUP_BYTES_MAX (EL_SLOTS_START + EL_SLOTS_MAX * EL_SLOT_BYTES)

typedef struct el_seat {
    _Atomic int64_t member_epoch; /* 0: empty */
    _Atomic int64_t seen_ms;      /* CLOCK_MONOTONIC: the same clock in all processes, and it never jumps */
} el_seat;

typedef struct el_ack_slot {
    union {
        pthread_mutex_t mutex;
        uint8_t bytes[64];
    } lock;
    _Atomic int64_t committed;
    _Atomic int64_t owner;
    _Atomic int64_t persisted;
    _Atomic int64_t committed_ms; /* wall clock */
    el_watch watch;
    _Atomic int32_t holder; /* process id, for error messages */
    _Atomic int32_t leader_epoch; /* of the record before committed, plus 1; 0: unknown, as with a consumer of this library */
    _Atomic int64_t decided_by;
    _Atomic int64_t reset_offset;
} el_ack_slot;

typedef struct el_group {
    uint64_t magic;
    uint32_t layout;
    _Atomic uint32_t is_ready;
    uint8_t boot_id[16];
    uint64_t device;
    uint64_t inode;
    int64_t incarnation; /* distinguishes the group from an earlier one of the same name, which was deleted */
    uint8_t pad_identity[8];

    _Atomic int64_t generation;
    _Atomic int64_t changes; /* grows with every generation, release, reset and deletion */
    el_watch watch;          /* of threads that wait for changes */
    _Atomic int64_t persist_begun_ms; /* CLOCK_MONOTONIC: when a process last began to write slots to the catalog */
    _Atomic uint32_t is_deleted;
    uint8_t pad_header[3988];
    _Atomic uint32_t seal; /* 0: the group is in use, or its last user was killed */
    uint32_t pad_seal;

    el_seat seats[EL_SEATS];
    el_ack_slot slots[];
} el_group;

_Static_assert(sizeof(pthread_mutex_t) <= 64, "a mutex has 64 bytes in a slot");
_Static_assert(sizeof(el_ack_slot) == EL_SLOT_BYTES, "a slot is two cache lines");
_Static_assert(offsetof(el_ack_slot, decided_by) == 112, "where an earlier version had zeros");
_Static_assert(offsetof(el_group, generation) == 64, "what members wait for has a cache line of its own");
_Static_assert(offsetof(el_group, seal) == 4088, "seal");
_Static_assert(offsetof(el_group, seats) == 4096, "seats");
_Static_assert(offsetof(el_group, slots) == EL_SLOTS_START, "slots");

/* Map the file behind `fd`, with room for EL_SLOTS_MAX slots, of which only those may be used that the file is long enough for. NULL
 * with errno set on failure. */
el_group *el_group_map(int fd);
void el_group_unmap(el_group *group);

/* The same for reading only: a store into it would end the process. */
el_group *el_group_map_to_read(int fd);

/* Was this file of `length` bytes initialised in this boot, for this group and for this very file, and does the seal match if there is
 * one? */
int el_group_is_trusted(const el_group *group, const uint8_t boot_id[16], uint64_t device, uint64_t inode,
                        int64_t incarnation, size_t length);

/* Store a checksum, by which later users can tell whether a bit of the file has changed. The caller holds its exclusive lock. */
void el_group_seal(el_group *group, size_t length);
/* The file is about to change. */
void el_group_unseal(el_group *group);

/* Begin a new page. The caller is the only one that has it mapped, fills in the slots, and says when it is ready. */
void el_group_initialise(el_group *group, const uint8_t boot_id[16], uint64_t device, uint64_t inode, int64_t incarnation,
                         int64_t generation);
void el_group_set_ready(el_group *group);
/* Initialise again those mutexes of the first `slots` slots that are held. No other process has the file mapped. */
void el_group_free_slots(el_group *group, uint32_t slots);
/* Initialise a slot that is not in use yet with what the catalog has; `decided_by` is the number of the last reset. */
void el_slot_initialise(el_group *group, uint32_t slot, int64_t committed, int64_t committed_ms, int64_t decided_by);

int64_t el_group_generation(const el_group *group);
int64_t el_group_changes(const el_group *group);
/* Publish a generation, unless a later one was published, and wake the members. */
void el_group_announce(el_group *group, el_signals *signals, int64_t generation);
/* Refuse commits while it is being decided whether the group is deleted, or accept them again. Commits that had begun are over once
 * el_ack_settle has returned for their slot. */
void el_group_refuse_commits(el_group *group, el_signals *signals, int is_refusing);
/* No commit is possible from now on: the group was deleted from the catalog. `slots` is their number. */
void el_group_set_deleted(el_group *group, el_signals *signals, uint32_t slots);
int el_group_is_deleted(const el_group *group);
void el_group_await(el_group *group, int64_t known_changes, el_awaited *awaited);

/* Give a member the seat, unless a later member has it. el_group_seen notes that it is active. */
void el_group_sit(el_group *group, uint32_t seat, int64_t member_epoch);
void el_group_seen(el_group *group, uint32_t seat, int64_t member_epoch);
/* Milliseconds since the member was seen; -1 if another member has the seat. */
int64_t el_group_unseen_ms(const el_group *group, uint32_t seat, int64_t member_epoch);

/* May this process write slots to the catalog now? Not if another process began to less than interval_ms ago. */
int el_group_begin_persist(el_group *group, int64_t interval_ms);

int64_t el_slot_committed(const el_group *group, uint32_t slot);
int64_t el_slot_committed_ms(const el_group *group, uint32_t slot);
int64_t el_slot_owner(const el_group *group, uint32_t slot);
int64_t el_slot_persisted(const el_group *group, uint32_t slot);
/* The leader epoch that came with the committed offset; -1: none did. */
int32_t el_slot_leader_epoch(const el_group *group, uint32_t slot);
/* Copy the committed offsets, when they were committed, the owners and the last resets of the first `slots` slots, to arrays of that
 * length. */
void el_slots_copy(const el_group *group, uint32_t slots, int64_t *committed, int64_t *committed_ms, int64_t *owners,
                   int64_t *decided_by);
void el_slot_await(el_group *group, uint32_t slot, int64_t offset, el_awaited *awaited);
/* Slots whose committed offset the catalog does not have yet, from *next on; moves *next behind the last slot that was checked.
 * Returns how many were stored in `found`. */
int el_slots_dirty(const el_group *group, uint32_t slots, uint32_t *next, uint32_t *found, int capacity);

/* One member's view of one slot. */
typedef struct el_ack {
    el_group *group;
    el_signals *signals;
    int64_t member_epoch; /* 0: a consumer outside the group's membership; it may commit while the slot has no owner */
    int64_t timeout_ms;
    uint32_t slot;
    int32_t process_id;
    int32_t holder; /* with EL_LOCK_TIMEOUT: the process that holds the mutex */
    const el_flag *closed; /* raised once this process lets go of the group: nothing is committed here any more; NULL: never */
} el_ack;

/* Acknowledge everything before `offset`; a smaller offset than the committed one changes nothing. EL_DONE, EL_STALE_MEMBER,
 * EL_CLOSED, or EL_LOCK_TIMEOUT: without may_wait at once if another thread holds the mutex. */
int el_ack_commit(el_ack *ack, int64_t offset, int may_wait);

/* The same without waiting, with the leader epoch of the record before `offset`, -1 if it is unknown. */
int el_ack_commit_with_epoch(el_ack *ack, int64_t offset, int32_t leader_epoch);

/* The same for several slots, given in ascending order: for all of them, or for none unless EL_DONE is returned. *failed is then the
 * one that kept it from being done. */
int el_ack_commit_all(el_ack **acks, const int64_t *offsets, int count, int *failed);

/* Become the owner, if there is none, or if it is `former_owner`, a member that the caller knows to be gone. */
int el_ack_take(el_ack *ack, int64_t former_owner);

/* Stop being the owner, and tell the members. */
int el_ack_release(el_ack *ack);

/* Set the committed offset, forward or back, and take the slot from its owner, as the catalog transaction of this number has decided.
 * A slot to which this or a later reset was applied is left as it is. */
int el_ack_reset(el_ack *ack, int64_t offset, int64_t number);

/* Note that the catalog has this offset now, unless another reset was applied since it was read. */
int el_ack_set_persisted(el_ack *ack, int64_t offset, int64_t decided_by);

/* Wait until the thread that is changing the slot, if any, is done. */
int el_ack_settle(el_ack *ack);

#endif
