#define _GNU_SOURCE
#include "head.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../codec/assertions.h"
#include "../codec/crc32c.h"
#include "fault.h"
#include "mutex.h"

/* The checkpoint is as it was in the layout before: what was durable is still known after an upgrade. */
#define CHECKPOINT_LAYOUT_MIN 6
#define CHECKPOINT_SEED 6

el_head *el_head_map(int fd) {
    void *page = mmap(NULL, EL_HEAD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

el_head *el_head_map_to_read(int fd) {
    void *page = mmap(NULL, EL_HEAD_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

void el_head_unmap(el_head *head) {
    munmap(head, EL_HEAD_BYTES);
}

static int is_same_file(const el_head *head, uint64_t device, uint64_t inode) {
    return head->magic == EL_HEAD_MAGIC && head->device == device && head->inode == inode;
}

/* Without the watches: any content of theirs is as good as zeros, and a thread that is late with its wake-up may still change them. */
static uint32_t seal_of(const el_head *head) {
    size_t behind_watches = offsetof(el_head, append);
    uint32_t seal = el_crc32c(EL_HEAD_LAYOUT, head, offsetof(el_head, watch));
    seal = el_crc32c(seal, &head->append, offsetof(el_head, checkpoint) - behind_watches);
    return seal != 0 ? seal : 1;
}

static int is_as_sealed(const el_head *head) {
    uint32_t seal = atomic_load(&head->seal);
    return seal == 0 || seal == seal_of(head);
}

int el_head_is_trusted(const el_head *head, const uint8_t boot_id[16], uint64_t device, uint64_t inode) {
    return head->layout == EL_HEAD_LAYOUT && is_same_file(head, device, inode) && memcmp(head->boot_id, boot_id, 16) == 0 &&
           atomic_load(&head->is_ready) == 1 && atomic_load(&head->poison) == 0 && is_as_sealed(head);
}

void el_head_seal(el_head *head) {
    atomic_store(&head->seal, seal_of(head));
}

int el_head_is_sealed(const el_head *head) {
    return atomic_load(&head->seal) != 0;
}

int el_head_is_locked(const el_head *head) {
    return el_mutex_is_held(&head->append.mutex) || el_mutex_is_held(&head->flush.mutex);
}

void el_head_unseal(el_head *head) {
    atomic_store(&head->seal, 0);
}

int el_head_peek(const el_head *head, el_tail *tail) {
    int is_under_way = atomic_load(&head->next_is_complete) != 0;
    *tail = is_under_way ? head->next : head->tail;
    return is_under_way;
}

static uint32_t checkpoint_checksum(const el_checkpoint *checkpoint) {
    /* The seed keeps a page of zeros from passing as a checkpoint. */
    return el_crc32c(CHECKPOINT_SEED, checkpoint, offsetof(el_checkpoint, checksum)) ^ UINT32_C(0x656c6f67);
}

int el_head_former_checkpoint(const el_head *head, uint64_t device, uint64_t inode, el_checkpoint *checkpoint) {
    *checkpoint = head->checkpoint;
    int is_known = head->layout == EL_HEAD_LAYOUT || head->layout == CHECKPOINT_LAYOUT_MIN;
    return is_known && is_same_file(head, device, inode) && checkpoint->checksum == checkpoint_checksum(checkpoint);
}

static void store_durable(el_head *head, int64_t segment_base, int64_t position, int64_t offset) {
    EL_ASSERT(offset >= el_head_durable_offset(head) && offset <= el_head_end_offset(head));
    el_checkpoint checkpoint = {.segment_base = segment_base, .position = position, .offset = offset};
    checkpoint.checksum = checkpoint_checksum(&checkpoint);
    head->checkpoint = checkpoint;
    EL_FAULT_POINT("durable.checkpoint");
    atomic_store_explicit(&head->durable_offset, offset, memory_order_release);
    EL_FAULT_POINT("durable.stored");
}

/* Publish what readers see of the tail. */
static inline void publish_offsets(el_head *head) {
    atomic_store_explicit(&head->first_unstable, head->tail.first_unstable, memory_order_relaxed);
    atomic_store_explicit(&head->aborts, head->tail.aborts, memory_order_relaxed);
    EL_FAULT_POINT("publish.unstable");
    atomic_store_explicit(&head->end_offset, head->tail.end_offset, memory_order_release);
}

void el_head_initialise(el_head *head, const uint8_t boot_id[16], uint64_t device, uint64_t inode, const el_tail *tail,
                        const el_limits *limits, int64_t start_offset, int64_t allocated, int may_have_gaps,
                        int keep_checkpoint) {
    EL_ASSERT(tail->segment_base >= 0 && tail->segment_base <= tail->end_offset && tail->position >= 0);
    atomic_store(&head->seal, 0);
    memset(head, 0, offsetof(el_head, checkpoint));
    EL_FAULT_POINT("initialise.cleared");
    head->magic = EL_HEAD_MAGIC;
    head->layout = EL_HEAD_LAYOUT;
    memcpy(head->boot_id, boot_id, 16);
    head->device = device;
    head->inode = inode;
    head->tail = head->next = *tail;
    head->limits = *limits;
    head->allocated = allocated;
    EL_FAULT_POINT("initialise.tail");
    el_mutex_initialise(&head->append.mutex, PTHREAD_MUTEX_NORMAL);
    /* The flush mutex is held across calls from Python, where a signal handler may call in again. */
    el_mutex_initialise(&head->flush.mutex, PTHREAD_MUTEX_ERRORCHECK);
    atomic_store(&head->may_have_gaps, may_have_gaps != 0);
    atomic_store(&head->start_offset, start_offset);
    publish_offsets(head);
    if (keep_checkpoint)
        atomic_store(&head->durable_offset, tail->end_offset);
    else
        store_durable(head, tail->segment_base, tail->position, tail->end_offset);
    EL_FAULT_POINT("initialise.durable");
    atomic_store(&head->is_ready, 1);
    EL_FAULT_POINT("initialise.ready");
}

int64_t el_head_end_offset(const el_head *head) {
    return atomic_load_explicit(&head->end_offset, memory_order_acquire);
}

int64_t el_head_durable_offset(const el_head *head) {
    return atomic_load_explicit(&head->durable_offset, memory_order_acquire);
}

int64_t el_head_start_offset(const el_head *head) {
    return atomic_load_explicit(&head->start_offset, memory_order_acquire);
}

int64_t el_head_stable_offset(const el_head *head) {
    int64_t end = el_head_end_offset(head); /* first: what is read afterwards is of this end offset or of a later one */
    int64_t first_unstable = atomic_load_explicit(&head->first_unstable, memory_order_acquire);
    int64_t stable = first_unstable >= 0 && first_unstable < end ? first_unstable : end;
    int64_t start = el_head_start_offset(head); /* records of an open transaction may have been deleted */
    return stable > start ? stable : start;
}

int64_t el_head_aborts(const el_head *head) {
    return atomic_load_explicit(&head->aborts, memory_order_acquire);
}

int64_t el_head_marker_end(const el_head *head) {
    return __atomic_load_n(&head->tail.marker_end, __ATOMIC_ACQUIRE);
}

int64_t el_head_producers_offset(const el_head *head) {
    return __atomic_load_n(&head->tail.producers_offset, __ATOMIC_ACQUIRE);
}

uint32_t el_head_segments_version(const el_head *head) {
    return atomic_load_explicit(&head->segments_version, memory_order_acquire);
}

uint32_t el_head_poison(const el_head *head) {
    return atomic_load_explicit(&head->poison, memory_order_acquire);
}

int el_head_may_have_gaps(const el_head *head) {
    return atomic_load_explicit(&head->may_have_gaps, memory_order_acquire) != 0;
}

uint32_t el_head_settings_version(const el_head *head) {
    return atomic_load_explicit(&head->settings_version, memory_order_acquire);
}

#define TAIL_WORDS (sizeof(el_tail) / sizeof(int64_t))
#define PLAIN_WORDS (offsetof(el_tail, first_unstable) / sizeof(int64_t)) /* the others change with batches of producers, and a roll */

static inline void store_words(el_tail *target, const el_tail *tail, size_t start, size_t stop) {
    const int64_t *from = (const int64_t *)tail;
    int64_t *to = (int64_t *)target;
    for (size_t i = start; i < stop; i++)
        __atomic_store_n(&to[i], from[i], __ATOMIC_RELEASE);
}

/* With the append mutex held. Each field is one store, and no store is seen before the one in front of it: el_head_active_segment
 * reads them without the mutex. */
static inline void store_tail(el_tail *target, const el_tail *tail, int is_plain) {
    store_words(target, tail, 0, PLAIN_WORDS);
    if (!is_plain)
        store_words(target, tail, PLAIN_WORDS, TAIL_WORDS);
}

/* Does `next` follow the tail? Offsets, segments, and what a segment holds only grow. */
static int follows_tail(const el_head *head, const el_tail *next) {
    const el_tail *tail = &head->tail;
    int is_larger = next->position >= tail->position && next->index_bytes >= tail->index_bytes &&
                    next->time_index_bytes >= tail->time_index_bytes && next->aborted_index_bytes >= tail->aborted_index_bytes;
    return next->end_offset >= tail->end_offset && next->segment_base <= next->end_offset &&
           (next->segment_base == tail->segment_base ? is_larger : next->segment_base > tail->segment_base);
}

/* Is what plain appends do not change the same in both? */
static int has_rest_of(const el_tail *tail, const el_tail *other) {
    return memcmp(&tail->first_unstable, &other->first_unstable, sizeof *tail - offsetof(el_tail, first_unstable)) == 0;
}

int el_head_is_sealing(const el_head *head) {
    return atomic_load(&head->sealing) != 0;
}

/* Complete an interrupted publication. Bytes that were never published are cut off by the next writer, which has the segment open:
 * `writing` stays set until then. */
static void complete_publication(el_head *head, el_signals *signals) {
    if (!atomic_load(&head->next_is_complete))
        return;
    EL_ASSERT(el_mutex_is_own(&head->append.mutex) && head->next.end_offset >= el_head_end_offset(head));
    EL_FAULT_POINT("complete.begun");
    store_tail(&head->tail, &head->next, 0);
    EL_FAULT_POINT("complete.tail");
    publish_offsets(head);
    EL_FAULT_POINT("complete.end");
    atomic_store(&head->writing, 0);
    EL_FAULT_POINT("complete.written");
    atomic_store(&head->next_is_complete, 0);
    EL_FAULT_POINT("complete.done");
    el_head_wake(head, signals);
}

int el_head_lock_append(el_head *head, el_signals *signals, int64_t timeout_ms, int32_t *holder) {
    int result = el_mutex_lock(&head->append.mutex, timeout_ms);
    if (result == EOWNERDEAD) {
        EL_FAULT_POINT("inherit.append");
        complete_publication(head, signals);
        head->next = head->tail; /* it may be half written */
        EL_FAULT_POINT("inherit.next");
        pthread_mutex_consistent(&head->append.mutex);
    } else if (result != 0) {
        *holder = atomic_load_explicit(&head->append_holder, memory_order_relaxed);
        return EL_LOCK_TIMEOUT;
    }
    return EL_DONE;
}

void el_head_unlock_append(el_head *head) {
    EL_ASSERT(el_mutex_is_own(&head->append.mutex));
    pthread_mutex_unlock(&head->append.mutex);
}

int el_head_lock_flush(el_head *head, int64_t timeout_ms, int32_t *holder) {
    int result = el_mutex_lock(&head->flush.mutex, timeout_ms);
    if (result == EOWNERDEAD)
        pthread_mutex_consistent(&head->flush.mutex); /* a flush or a roll is simply repeated */
    else if (result != 0) {
        int32_t process = atomic_load_explicit(&head->flush_holder, memory_order_relaxed);
        *holder = process != 0 ? process : -1;
        return result == EDEADLK ? EL_HELD_ALREADY : EL_LOCK_TIMEOUT;
    }
    *holder = 0;
    atomic_store_explicit(&head->flush_holder, (int32_t)getpid(), memory_order_relaxed);
    return EL_DONE;
}

void el_head_unlock_flush(el_head *head) {
    EL_ASSERT(el_mutex_is_own(&head->flush.mutex));
    pthread_mutex_unlock(&head->flush.mutex);
    EL_FAULT_POINT("flush.unlocked");
    el_group_commit_end(&head->group);
}

void el_head_release_flush(el_head *head, int32_t *holder) {
    if (*holder != 0)
        return;
    *holder = -1;
    el_head_unlock_flush(head);
}

void el_head_publish(el_head *head, const el_tail *next) {
    EL_ASSERT(el_mutex_is_own(&head->append.mutex) && follows_tail(head, next));
    EL_ASSERT(head->tail.end_offset == el_head_end_offset(head));
    int is_plain = next->producers_offset == head->tail.producers_offset && next->segment_base == head->tail.segment_base;
    EL_ASSERT(!is_plain || (has_rest_of(&head->next, next) && has_rest_of(&head->tail, next)));
    store_tail(&head->next, next, is_plain);
    EL_FAULT_POINT("publish.next");
    atomic_store_explicit(&head->next_is_complete, 1, memory_order_release);
    EL_FAULT_POINT("publish.complete");
    __atomic_store_n(&head->tail.end_offset, next->end_offset, __ATOMIC_RELEASE); /* alone: a process may die with half a tail */
    EL_FAULT_POINT("publish.torn_tail");
    store_tail(&head->tail, next, is_plain);
    EL_FAULT_POINT("publish.tail");
    publish_offsets(head);
    EL_FAULT_POINT("publish.end");
    atomic_store_explicit(&head->writing, 0, memory_order_release);
    EL_FAULT_POINT("publish.written");
    atomic_store_explicit(&head->next_is_complete, 0, memory_order_release);
    EL_FAULT_POINT("publish.done");
}

void el_head_store_durable(el_head *head, el_signals *signals, int64_t segment_base, int64_t position, int64_t offset) {
    EL_ASSERT(el_mutex_is_own(&head->flush.mutex));
    store_durable(head, segment_base, position, offset);
    el_head_wake(head, signals);
}

void el_head_advance_start(el_head *head, el_signals *signals, int64_t offset) {
    EL_ASSERT(offset <= el_head_end_offset(head));
    int64_t known = atomic_load(&head->start_offset);
    while (known < offset && !atomic_compare_exchange_weak(&head->start_offset, &known, offset))
        ;
    EL_FAULT_POINT("start.advanced");
    el_head_wake(head, signals);
}

void el_head_segments_changed(el_head *head) {
    EL_FAULT_POINT("segments.changed");
    atomic_fetch_add(&head->segments_version, 1);
}

void el_head_active_segment(const el_head *head, int64_t *segment_base, int64_t *position) {
    uint32_t is_under_way;
    const el_tail *tail;
    do { /* a process that dies between two stores of the tail has left the whole one in `next` */
        is_under_way = atomic_load_explicit(&head->next_is_complete, memory_order_acquire);
        tail = is_under_way ? &head->next : &head->tail;
        *segment_base = __atomic_load_n(&tail->segment_base, __ATOMIC_ACQUIRE);
        *position = __atomic_load_n(&tail->position, __ATOMIC_ACQUIRE);
    } while (*segment_base != __atomic_load_n(&tail->segment_base, __ATOMIC_ACQUIRE) ||
             is_under_way != atomic_load_explicit(&head->next_is_complete, memory_order_relaxed));
}

/* The tail as it is after some append. Whoever stores a tail stores its end offset first, then its base, then the rest: if these two
 * are the same afterwards, nothing was changed in between. */
static void read_tail(const el_head *head, el_tail *copy) {
    const el_tail *tail;
    do {
        tail = atomic_load_explicit(&head->next_is_complete, memory_order_acquire) ? &head->next : &head->tail;
        const int64_t *from = (const int64_t *)tail;
        int64_t *to = (int64_t *)copy;
        for (size_t i = 0; i < TAIL_WORDS; i++)
            to[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
    } while (copy->end_offset != __atomic_load_n(&tail->end_offset, __ATOMIC_ACQUIRE) ||
             copy->segment_base != __atomic_load_n(&tail->segment_base, __ATOMIC_ACQUIRE));
}

#define FOLLOW_MS 1000 /* the mutex of a page of this process alone is held for a copy of a tail */

void el_head_follow(el_head *head, const el_head *followed, el_signals *signals) {
    el_tail tail;
    int64_t start_offset, durable_offset;
    int32_t holder;
    if (el_head_lock_append(head, signals, FOLLOW_MS, &holder) != EL_DONE)
        return;
    do { /* the start may have passed the end that was read before it */
        read_tail(followed, &tail);
        start_offset = el_head_start_offset(followed);
        durable_offset = el_head_durable_offset(followed);
    } while (start_offset > tail.end_offset && atomic_load(&followed->is_ready) == 1);
    uint32_t segments_version = el_head_segments_version(followed);
    uint32_t settings_version = el_head_settings_version(followed);
    int64_t settings_number = atomic_load_explicit(&followed->settings_number, memory_order_acquire);
    int may_have_gaps = el_head_may_have_gaps(followed);
    if (atomic_load(&followed->is_ready) == 1) {
        int is_news = tail.end_offset != el_head_end_offset(head) || durable_offset != el_head_durable_offset(head);
        store_tail(&head->tail, &tail, 0);
        atomic_store(&head->may_have_gaps, may_have_gaps);
        atomic_store(&head->segments_version, segments_version);
        atomic_store(&head->settings_number, settings_number);
        atomic_store(&head->settings_version, settings_version);
        publish_offsets(head);
        atomic_store(&head->start_offset, start_offset);
        atomic_store(&head->durable_offset, durable_offset < tail.end_offset ? durable_offset : tail.end_offset);
        if (is_news)
            el_head_wake(head, signals);
    }
    el_head_unlock_append(head);
}

int64_t el_head_settings_number(const el_head *head) {
    return atomic_load_explicit(&head->settings_number, memory_order_acquire);
}

void el_head_allow_gaps(el_head *head) {
    atomic_store(&head->may_have_gaps, 1);
    EL_FAULT_POINT("settings.gaps");
}

int el_head_change_settings(el_head *head, el_signals *signals, const el_limits *limits, int may_have_gaps, int64_t number,
                            int64_t timeout_ms, int32_t *holder) {
    if (may_have_gaps)
        el_head_allow_gaps(head);
    int status = el_head_lock_append(head, signals, timeout_ms, holder);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("settings.locked");
    if (el_head_settings_number(head) <= number) {
        int32_t leader_epoch = head->limits.leader_epoch;
        head->limits = *limits;
        head->limits.leader_epoch = leader_epoch;
        EL_FAULT_POINT("settings.limits");
        atomic_fetch_add(&head->settings_version, 1);
        EL_FAULT_POINT("settings.counted");
        atomic_store(&head->settings_number, number);
    }
    el_head_unlock_append(head);
    return EL_DONE;
}

int el_head_snapshot(el_head *head, el_signals *signals, int64_t timeout_ms, el_tail *tail, int32_t *holder) {
    int status = el_head_lock_append(head, signals, timeout_ms, holder);
    if (status == EL_DONE) {
        *tail = head->tail;
        el_head_unlock_append(head);
    }
    return status;
}

void el_head_set_poison(el_head *head, int error_number) {
    uint32_t expected = 0;
    atomic_compare_exchange_strong(&head->poison, &expected, (uint32_t)error_number);
}

void el_head_set_deleted(el_head *head, int error_number) {
    atomic_store(&head->poison, (uint32_t)error_number);
    EL_FAULT_POINT("deleted.poisoned");
}

void el_head_wake(el_head *head, el_signals *signals) {
    el_watch_ring(&head->watch, signals);
}

void el_head_await(el_head *head, int64_t offset, int durable, el_awaited *awaited) {
    *awaited = (el_awaited){durable ? &head->durable_offset : &head->end_offset, &head->watch, offset};
}
