#define _GNU_SOURCE
#include "acks.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../codec/assertions.h"
#include "../codec/crc32c.h"
#include "clock.h"
#include "fault.h"
#include "mutex.h"

el_group *el_group_map(int fd) {
    void *page = mmap(NULL, EL_GROUP_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

el_group *el_group_map_to_read(int fd) {
    void *page = mmap(NULL, EL_GROUP_BYTES_MAX, PROT_READ, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

void el_group_unmap(el_group *group) {
    munmap(group, EL_GROUP_BYTES_MAX);
}

static uint32_t seal_of(const el_group *group, size_t length) {
    uint32_t header = el_crc32c(EL_GROUP_LAYOUT, group, offsetof(el_group, seal));
    uint32_t seal = el_crc32c(header, group->seats, length - offsetof(el_group, seats));
    return seal != 0 ? seal : 1;
}

static int is_as_sealed(const el_group *group, size_t length) {
    uint32_t seal = atomic_load(&group->seal);
    return seal == 0 || seal == seal_of(group, length);
}

int el_group_is_trusted(const el_group *group, const uint8_t boot_id[16], uint64_t device, uint64_t inode,
                        int64_t incarnation, size_t length) {
    return group->magic == EL_GROUP_MAGIC && group->layout == EL_GROUP_LAYOUT && group->device == device &&
           group->inode == inode && group->incarnation == incarnation && memcmp(group->boot_id, boot_id, 16) == 0 &&
           atomic_load(&group->is_ready) == 1 && is_as_sealed(group, length);
}

void el_group_seal(el_group *group, size_t length) {
    atomic_store(&group->seal, seal_of(group, length));
}

void el_group_unseal(el_group *group) {
    atomic_store(&group->seal, 0);
}

void el_group_initialise(el_group *group, const uint8_t boot_id[16], uint64_t device, uint64_t inode, int64_t incarnation,
                         int64_t generation) {
    memset(group, 0, EL_SLOTS_START);
    EL_FAULT_POINT("group.cleared");
    group->magic = EL_GROUP_MAGIC;
    group->layout = EL_GROUP_LAYOUT;
    memcpy(group->boot_id, boot_id, 16);
    group->device = device;
    group->inode = inode;
    group->incarnation = incarnation;
    atomic_store(&group->generation, generation);
    EL_FAULT_POINT("group.initialised");
}

void el_group_set_ready(el_group *group) {
    EL_FAULT_POINT("group.filled");
    atomic_store(&group->is_ready, 1);
    EL_FAULT_POINT("group.ready");
}

void el_slot_initialise(el_group *group, uint32_t slot, int64_t committed, int64_t committed_ms, int64_t decided_by) {
    el_ack_slot *new_slot = &group->slots[slot];
    memset(new_slot, 0, sizeof *new_slot);
    EL_FAULT_POINT("slot.cleared");
    el_mutex_initialise(&new_slot->lock.mutex, PTHREAD_MUTEX_NORMAL);
    atomic_store(&new_slot->committed_ms, committed_ms);
    atomic_store(&new_slot->persisted, committed);
    atomic_store(&new_slot->decided_by, decided_by);
    EL_FAULT_POINT("slot.persisted");
    atomic_store(&new_slot->committed, committed);
}

void el_group_free_slots(el_group *group, uint32_t slots) {
    for (uint32_t slot = 0; slot < slots; slot++)
        if (el_mutex_is_held(&group->slots[slot].lock.mutex))
            el_mutex_initialise(&group->slots[slot].lock.mutex, PTHREAD_MUTEX_NORMAL);
}

int64_t el_group_generation(const el_group *group) {
    return atomic_load(&group->generation);
}

int64_t el_group_changes(const el_group *group) {
    return atomic_load(&group->changes);
}

static void tell_members(el_group *group, el_signals *signals) {
    EL_FAULT_POINT("group.changed");
    atomic_fetch_add(&group->changes, 1);
    EL_FAULT_POINT("group.counted");
    el_watch_ring(&group->watch, signals);
}

void el_group_announce(el_group *group, el_signals *signals, int64_t generation) {
    int64_t known = atomic_load(&group->generation);
    while (known < generation && !atomic_compare_exchange_weak(&group->generation, &known, generation))
        ;
    tell_members(group, signals);
}

void el_group_refuse_commits(el_group *group, el_signals *signals, int is_refusing) {
    atomic_store(&group->is_deleted, is_refusing != 0);
    EL_FAULT_POINT("group.refusing");
    tell_members(group, signals); /* a thread that waits for a commit checks how that ends */
}

void el_group_set_deleted(el_group *group, el_signals *signals, uint32_t slots) {
    atomic_store(&group->is_deleted, 1);
    tell_members(group, signals);
    for (uint32_t slot = 0; slot < slots; slot++)
        el_watch_ring(&group->slots[slot].watch, signals);
}

int el_group_is_deleted(const el_group *group) {
    return atomic_load(&group->is_deleted) != 0;
}

void el_group_await(el_group *group, int64_t known_changes, el_awaited *awaited) {
    *awaited = (el_awaited){&group->changes, &group->watch, known_changes};
}

void el_group_sit(el_group *group, uint32_t seat, int64_t member_epoch) {
    int64_t former = atomic_load(&group->seats[seat].member_epoch);
    if (former >= member_epoch)
        return;
    atomic_store(&group->seats[seat].seen_ms, el_lease_ms());
    EL_FAULT_POINT("seat.seen");
    while (former < member_epoch && !atomic_compare_exchange_weak(&group->seats[seat].member_epoch, &former, member_epoch))
        ;
}

void el_group_seen(el_group *group, uint32_t seat, int64_t member_epoch) {
    if (atomic_load_explicit(&group->seats[seat].member_epoch, memory_order_relaxed) == member_epoch)
        atomic_store_explicit(&group->seats[seat].seen_ms, el_lease_ms(), memory_order_relaxed);
}

int64_t el_group_unseen_ms(const el_group *group, uint32_t seat, int64_t member_epoch) {
    if (atomic_load(&group->seats[seat].member_epoch) != member_epoch)
        return -1;
    int64_t unseen_ms = el_lease_ms() - atomic_load(&group->seats[seat].seen_ms);
    return unseen_ms > 0 ? unseen_ms : 0;
}

int el_group_begin_persist(el_group *group, int64_t interval_ms) {
    int64_t now = el_monotonic_ns() / 1000000;
    int64_t begun = atomic_load(&group->persist_begun_ms);
    int is_recent = begun <= now && now - begun < interval_ms; /* a time in the future is that of another clock */
    if (is_recent || !atomic_compare_exchange_strong(&group->persist_begun_ms, &begun, now))
        return 0;
    EL_FAULT_POINT("persist.begun");
    return 1;
}

int64_t el_slot_committed(const el_group *group, uint32_t slot) {
    return atomic_load_explicit(&group->slots[slot].committed, memory_order_acquire);
}

int64_t el_slot_committed_ms(const el_group *group, uint32_t slot) {
    return atomic_load_explicit(&group->slots[slot].committed_ms, memory_order_acquire);
}

int64_t el_slot_owner(const el_group *group, uint32_t slot) {
    return atomic_load_explicit(&group->slots[slot].owner, memory_order_acquire);
}

int64_t el_slot_persisted(const el_group *group, uint32_t slot) {
    return atomic_load_explicit(&group->slots[slot].persisted, memory_order_acquire);
}

int32_t el_slot_leader_epoch(const el_group *group, uint32_t slot) {
    return atomic_load_explicit(&group->slots[slot].leader_epoch, memory_order_acquire) - 1;
}

void el_slots_copy(const el_group *group, uint32_t slots, int64_t *committed, int64_t *committed_ms, int64_t *owners,
                   int64_t *decided_by) {
    for (uint32_t slot = 0; slot < slots; slot++) {
        decided_by[slot] = atomic_load_explicit(&group->slots[slot].decided_by, memory_order_acquire);
        committed[slot] = el_slot_committed(group, slot);
        committed_ms[slot] = el_slot_committed_ms(group, slot);
        owners[slot] = el_slot_owner(group, slot);
    }
}

void el_slot_await(el_group *group, uint32_t slot, int64_t offset, el_awaited *awaited) {
    *awaited = (el_awaited){&group->slots[slot].committed, &group->slots[slot].watch, offset};
}

int el_slots_dirty(const el_group *group, uint32_t slots, uint32_t *next, uint32_t *found, int capacity) {
    int count = 0;
    for (; *next < slots && count < capacity; (*next)++)
        if (el_slot_committed(group, *next) != el_slot_persisted(group, *next))
            found[count++] = *next;
    return count;
}

static el_ack_slot *slot_of(const el_ack *ack) {
    return &ack->group->slots[ack->slot];
}

static void store_committed(el_ack_slot *slot, int64_t offset) {
    EL_ASSERT(el_mutex_is_own(&slot->lock.mutex));
    atomic_store_explicit(&slot->committed_ms, el_now_coarse_ms(), memory_order_relaxed);
    EL_FAULT_POINT("commit.timed");
    atomic_store_explicit(&slot->leader_epoch, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->committed, offset, memory_order_release);
    EL_FAULT_POINT("commit.stored");
}

/* The catalog has the offset already: a reset is decided by storing it there. */
static void complete_reset(el_ack_slot *slot) {
    EL_ASSERT(atomic_load(&slot->decided_by) < 0);
    int64_t offset = atomic_load(&slot->reset_offset);
    atomic_store(&slot->owner, 0);
    EL_FAULT_POINT("reset.taken");
    store_committed(slot, offset);
    EL_FAULT_POINT("reset.stored");
    atomic_store(&slot->persisted, offset);
    atomic_store(&slot->decided_by, -atomic_load(&slot->decided_by));
    EL_FAULT_POINT("reset.completed");
}

static int lock_within(el_ack *ack, int64_t timeout_ms) {
    el_ack_slot *slot = slot_of(ack);
    int result = el_mutex_lock(&slot->lock.mutex, timeout_ms);
    if (result == EOWNERDEAD) {
        EL_FAULT_POINT("inherit.slot");
        if (atomic_load(&slot->decided_by) < 0)
            complete_reset(slot);
        pthread_mutex_consistent(&slot->lock.mutex);
    } else if (result != 0) {
        ack->holder = atomic_load_explicit(&slot->holder, memory_order_relaxed);
        return EL_LOCK_TIMEOUT;
    }
    atomic_store_explicit(&slot->holder, ack->process_id, memory_order_relaxed);
    return EL_DONE;
}

static int lock(el_ack *ack) {
    return lock_within(ack, ack->timeout_ms);
}

static void unlock(el_ack *ack) {
    EL_ASSERT(el_mutex_is_own(&slot_of(ack)->lock.mutex) && atomic_load(&slot_of(ack)->decided_by) >= 0);
    pthread_mutex_unlock(&slot_of(ack)->lock.mutex);
}

/* Why the member may not commit, or EL_DONE. Call with the mutex held. */
static int refusal(const el_ack *ack) {
    int64_t owner = atomic_load_explicit(&slot_of(ack)->owner, memory_order_relaxed);
    if (owner != ack->member_epoch || el_group_is_deleted(ack->group))
        return EL_STALE_MEMBER;
    return ack->closed != NULL && el_flag_raised(ack->closed) > 0 ? EL_CLOSED : EL_DONE;
}

static void advance(el_ack_slot *slot, int64_t offset) {
    if (atomic_load_explicit(&slot->committed, memory_order_relaxed) < offset)
        store_committed(slot, offset);
}

int el_ack_commit(el_ack *ack, int64_t offset, int may_wait) {
    int status = lock_within(ack, may_wait ? ack->timeout_ms : 0);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("commit.locked");
    status = refusal(ack);
    if (status == EL_DONE)
        advance(slot_of(ack), offset);
    unlock(ack);
    EL_FAULT_POINT("commit.unlocked");
    if (status == EL_DONE)
        el_watch_ring(&slot_of(ack)->watch, ack->signals);
    return status;
}

int el_ack_commit_with_epoch(el_ack *ack, int64_t offset, int32_t leader_epoch) {
    int status = lock_within(ack, 0);
    if (status != EL_DONE)
        return status;
    status = refusal(ack);
    if (status == EL_DONE) {
        advance(slot_of(ack), offset);
        if (el_slot_committed(ack->group, ack->slot) == offset)
            atomic_store_explicit(&slot_of(ack)->leader_epoch, leader_epoch + 1, memory_order_release);
    }
    unlock(ack);
    if (status == EL_DONE)
        el_watch_ring(&slot_of(ack)->watch, ack->signals);
    return status;
}

int el_ack_commit_all(el_ack **acks, const int64_t *offsets, int count, int *failed) {
    int status = EL_DONE;
    int locked = 0;
    while (locked < count && status == EL_DONE) {
        EL_ASSERT(locked == 0 || acks[locked]->slot > acks[locked - 1]->slot); /* in another order two would wait for each other */
        *failed = locked;
        status = lock(acks[locked]);
        if (status == EL_DONE)
            status = refusal(acks[locked++]);
        EL_FAULT_POINT("commit.one_locked");
    }
    for (int i = 0; i < locked; i++) {
        if (status == EL_DONE)
            advance(slot_of(acks[i]), offsets[i]);
        unlock(acks[i]);
        EL_FAULT_POINT("commit.one_done");
    }
    for (int i = 0; i < count && status == EL_DONE; i++)
        el_watch_ring(&slot_of(acks[i])->watch, acks[i]->signals);
    return status;
}

int el_ack_take(el_ack *ack, int64_t former_owner) {
    int status = lock(ack);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("take.locked");
    int64_t owner = atomic_load(&slot_of(ack)->owner);
    if (owner != 0 && owner != former_owner && owner != ack->member_epoch)
        status = EL_STALE_MEMBER;
    else
        atomic_store(&slot_of(ack)->owner, ack->member_epoch);
    EL_FAULT_POINT("take.taken");
    unlock(ack);
    return status;
}

int el_ack_release(el_ack *ack) {
    int status = lock(ack);
    if (status != EL_DONE)
        return status;
    if (atomic_load(&slot_of(ack)->owner) == ack->member_epoch)
        atomic_store(&slot_of(ack)->owner, 0);
    EL_FAULT_POINT("release.released");
    unlock(ack);
    EL_FAULT_POINT("release.unlocked");
    tell_members(ack->group, ack->signals);
    return EL_DONE;
}

int el_ack_reset(el_ack *ack, int64_t offset, int64_t number) {
    int status = lock(ack);
    if (status != EL_DONE)
        return status;
    el_ack_slot *slot = slot_of(ack);
    if (atomic_load(&slot->decided_by) < number) {
        atomic_store(&slot->reset_offset, offset);
        EL_FAULT_POINT("reset.begun");
        atomic_store(&slot->decided_by, -number);
        complete_reset(slot);
    }
    unlock(ack);
    EL_FAULT_POINT("reset.unlocked");
    el_watch_ring(&slot->watch, ack->signals);
    return EL_DONE;
}

int el_ack_set_persisted(el_ack *ack, int64_t offset, int64_t decided_by) {
    EL_FAULT_POINT("persist.stored");
    int status = lock(ack);
    if (status != EL_DONE)
        return status;
    if (atomic_load(&slot_of(ack)->decided_by) == decided_by) {
        EL_ASSERT(offset <= atomic_load(&slot_of(ack)->committed)); /* between resets it only grows */
        atomic_store_explicit(&slot_of(ack)->persisted, offset, memory_order_release);
    }
    unlock(ack);
    return EL_DONE;
}

int el_ack_settle(el_ack *ack) {
    int status = lock(ack);
    if (status == EL_DONE)
        unlock(ack);
    return status;
}
