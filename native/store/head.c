#define _GNU_SOURCE
#include "head.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../codec/crc32c.h"

el_head *el_head_map(int fd) {
    void *page = mmap(NULL, EL_HEAD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

void el_head_unmap(el_head *head) {
    munmap(head, EL_HEAD_BYTES);
}

static int is_same_file(const el_head *head, uint64_t device, uint64_t inode) {
    return head->magic == EL_HEAD_MAGIC && head->layout == EL_HEAD_LAYOUT && head->device == device &&
           head->inode == inode;
}

int el_head_is_trusted(const el_head *head, const uint8_t boot_id[16], uint64_t device, uint64_t inode) {
    return is_same_file(head, device, inode) && memcmp(head->boot_id, boot_id, 16) == 0 &&
           atomic_load(&head->is_ready) == 1 && atomic_load(&head->poison) == 0;
}

static uint32_t checkpoint_checksum(const el_checkpoint *checkpoint) {
    /* The seed keeps a page of zeros from passing as a checkpoint. */
    return el_crc32c(EL_HEAD_LAYOUT, checkpoint, offsetof(el_checkpoint, checksum)) ^ UINT32_C(0x656c6f67);
}

int el_head_former_checkpoint(const el_head *head, uint64_t device, uint64_t inode, el_checkpoint *checkpoint) {
    *checkpoint = head->checkpoint;
    return is_same_file(head, device, inode) && checkpoint->checksum == checkpoint_checksum(checkpoint);
}

static void initialise_mutex(pthread_mutex_t *mutex, int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

void el_head_initialise(el_head *head, const uint8_t boot_id[16], uint64_t device, uint64_t inode, const el_tail *tail,
                        const el_limits *limits, int64_t start_offset, int64_t allocated, int keep_checkpoint) {
    memset(head, 0, offsetof(el_head, checkpoint));
    head->magic = EL_HEAD_MAGIC;
    head->layout = EL_HEAD_LAYOUT;
    memcpy(head->boot_id, boot_id, 16);
    head->device = device;
    head->inode = inode;
    head->tail = *tail;
    head->limits = *limits;
    head->allocated = allocated;
    initialise_mutex(&head->append.mutex, PTHREAD_MUTEX_NORMAL);
    /* The flush mutex is held across calls from Python, where a signal handler may call in again. */
    initialise_mutex(&head->flush.mutex, PTHREAD_MUTEX_ERRORCHECK);
    atomic_store(&head->start_offset, start_offset);
    atomic_store(&head->end_offset, tail->end_offset);
    if (keep_checkpoint)
        atomic_store(&head->durable_offset, tail->end_offset);
    else
        el_head_store_durable(head, tail->segment_base, tail->position, tail->end_offset);
    atomic_store(&head->is_ready, 1);
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

uint32_t el_head_segments_version(const el_head *head) {
    return atomic_load_explicit(&head->segments_version, memory_order_acquire);
}

uint32_t el_head_poison(const el_head *head) {
    return atomic_load_explicit(&head->poison, memory_order_acquire);
}

int el_head_is_sealing(const el_head *head) {
    return atomic_load(&head->sealing) != 0;
}

/* Lock within the time given: the common case is one compare-and-swap.
 *
 * Giving a mutex back wakes one waiter. If that one is killed before it runs, and somebody else took the mutex meanwhile,
 * nobody knows any more that others are asleep. So a waiter tries again after a second at the latest. */
static int lock_bounded(pthread_mutex_t *mutex, int64_t timeout_ms) {
    int result = pthread_mutex_trylock(mutex);
    while (result == EBUSY && timeout_ms > 0) {
        int64_t slice_ms = timeout_ms < 1000 ? timeout_ms : 1000;
        timeout_ms -= slice_ms;
        struct timespec deadline;
        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += slice_ms / 1000;
        deadline.tv_nsec += (slice_ms % 1000) * 1000000;
        if (deadline.tv_nsec >= 1000000000) {
            deadline.tv_sec += 1;
            deadline.tv_nsec -= 1000000000;
        }
        result = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &deadline);
        if (result == ETIMEDOUT)
            result = pthread_mutex_trylock(mutex);
    }
    return result;
}

/* Roll an interrupted publication forward. Bytes that were never published are cut off by the next writer, who has the
 * segment open: `writing` stays set until then. */
static void complete_publication(el_head *head) {
    if (!atomic_load(&head->next_is_complete))
        return;
    head->tail = head->next;
    atomic_store_explicit(&head->end_offset, head->tail.end_offset, memory_order_release);
    atomic_store(&head->writing, 0);
    atomic_store(&head->next_is_complete, 0);
    el_head_wake(head);
}

int el_head_lock_append(el_head *head, int64_t timeout_ms, int32_t *holder) {
    int result = lock_bounded(&head->append.mutex, timeout_ms);
    if (result == EOWNERDEAD) {
        complete_publication(head);
        pthread_mutex_consistent(&head->append.mutex);
    } else if (result != 0) {
        *holder = atomic_load_explicit(&head->append_holder, memory_order_relaxed);
        return EL_LOCK_TIMEOUT;
    }
    return EL_DONE;
}

void el_head_unlock_append(el_head *head) {
    pthread_mutex_unlock(&head->append.mutex);
}

int el_head_lock_flush(el_head *head, int64_t timeout_ms, int32_t *holder) {
    int result = lock_bounded(&head->flush.mutex, timeout_ms);
    if (result == EOWNERDEAD)
        pthread_mutex_consistent(&head->flush.mutex); /* a flush or a roll is simply done again */
    else if (result != 0) {
        *holder = atomic_load_explicit(&head->flush_holder, memory_order_relaxed);
        return EL_LOCK_TIMEOUT;
    }
    atomic_store_explicit(&head->flush_holder, (int32_t)getpid(), memory_order_relaxed);
    return EL_DONE;
}

void el_head_unlock_flush(el_head *head) {
    pthread_mutex_unlock(&head->flush.mutex);
}

void el_head_publish(el_head *head, const el_tail *next) {
    head->next = *next;
    atomic_store_explicit(&head->next_is_complete, 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    head->tail = *next;
    atomic_store_explicit(&head->end_offset, next->end_offset, memory_order_release);
    atomic_store_explicit(&head->writing, 0, memory_order_release);
    atomic_store_explicit(&head->next_is_complete, 0, memory_order_release);
}

void el_head_store_durable(el_head *head, int64_t segment_base, int64_t position, int64_t offset) {
    el_checkpoint checkpoint = {.segment_base = segment_base, .position = position, .offset = offset};
    checkpoint.checksum = checkpoint_checksum(&checkpoint);
    head->checkpoint = checkpoint;
    atomic_store_explicit(&head->durable_offset, offset, memory_order_release);
    el_head_wake(head);
}

int el_head_snapshot(el_head *head, int64_t timeout_ms, el_tail *tail, int32_t *holder) {
    int status = el_head_lock_append(head, timeout_ms, holder);
    if (status == EL_DONE) {
        *tail = head->tail;
        el_head_unlock_append(head);
    }
    return status;
}

void el_head_set_poison(el_head *head, int error_number) {
    uint32_t expected = 0;
    atomic_compare_exchange_strong(&head->poison, &expected, (uint32_t)error_number);
    el_head_wake(head);
}

/* Waiters set is_awaited before they look at the offset; a publisher stores the offset before it looks at is_awaited. So
 * one of the two sees the other. The flag, not a count, so that a waiter that was killed costs one needless wake-up only. */
void el_head_wake(el_head *head) {
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&head->is_awaited, memory_order_relaxed) == 0)
        return;
    atomic_store(&head->is_awaited, 0);
    atomic_fetch_add(&head->sequence, 1);
    syscall(SYS_futex, &head->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int is_past(const el_head *head, int64_t offset, int durable) {
    return (durable ? el_head_durable_offset(head) : el_head_end_offset(head)) > offset;
}

/* A writer killed between publishing and waking takes the wake-up with it. So callers look again after a second at
 * the latest; this is the only reason for the bound. */
int el_head_wait(el_head *head, int64_t offset, int durable, int64_t timeout_ms) {
    uint32_t sequence = atomic_load(&head->sequence); /* before the flag: a wake-up after this makes the wait return */
    atomic_store(&head->is_awaited, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (is_past(head, offset, durable))
        return EL_DONE;
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (timeout_ms % 1000) * 1000000};
    long result = syscall(SYS_futex, &head->sequence, FUTEX_WAIT, sequence, &timeout, NULL, 0);
    int error_number = errno;
    if (is_past(head, offset, durable))
        return EL_DONE;
    return result != 0 && error_number == EINTR ? EL_INTERRUPTED : EL_TIMED_OUT;
}
