#define _GNU_SOURCE
#include "signals.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"

el_signals *el_signals_map(int fd) {
    void *page = mmap(NULL, EL_SIGNALS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

void el_signals_unmap(el_signals *signals) {
    munmap(signals, EL_SIGNALS_BYTES);
}

uint32_t el_signals_bell(el_signals *signals) {
    static _Thread_local const el_signals *last_used;
    static _Thread_local uint32_t bell;
    if (last_used != signals) {
        last_used = signals;
        bell = atomic_fetch_add(&signals->next_bell, 1) % EL_BELLS;
    }
    return bell;
}

int64_t el_signals_catalog_version(const el_signals *signals) {
    return atomic_load(&signals->catalog_version);
}

void el_signals_catalog_changed(el_signals *signals, int64_t number) {
    EL_FAULT_POINT("catalog.changed");
    atomic_fetch_add(&signals->catalog_version, 1);
    EL_FAULT_POINT("catalog.counted");
    el_watch_ring(&signals->catalog_watch, signals);
    EL_FAULT_POINT("catalog.rung");
    atomic_store(&signals->catalog_announced, number);
}

int64_t el_signals_catalog_announced(const el_signals *signals) {
    return atomic_load(&signals->catalog_announced);
}

void el_signals_await_catalog(el_signals *signals, int64_t known, el_awaited *awaited) {
    *awaited = (el_awaited){&signals->catalog_version, &signals->catalog_watch, known};
}

/* A waiter sets its bit before it reads the number; here the number was stored before the mask is read. So one of the two sees
 * the other. A bit that was left behind, by a waiter that died or got what it waited for, costs one needless ring. */
void el_watch_ring(el_watch *watch, el_signals *signals) {
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&watch->bells, memory_order_relaxed) == 0)
        return;
    uint64_t bells = atomic_exchange(&watch->bells, 0);
    EL_FAULT_POINT("watch.taken");
    for (; bells != 0; bells &= bells - 1)
        el_event_count_advance(&signals->bells[__builtin_ctzll(bells)].rings);
}

static int is_ready(const el_awaited *awaited) {
    return atomic_load_explicit(awaited->value, memory_order_acquire) > awaited->known;
}

int el_first_ready(const el_awaited *awaited, int count, int start) {
    for (int i = start; i < count; i++)
        if (is_ready(&awaited[i]))
            return i;
    for (int i = 0; i < start && i < count; i++)
        if (is_ready(&awaited[i]))
            return i;
    return -1;
}

static void set_bits(const el_awaited *awaited, int count, uint64_t bit) {
    for (int i = 0; i < count; i++)
        if ((atomic_load_explicit(&awaited[i].watch->bells, memory_order_relaxed) & bit) == 0)
            atomic_fetch_or(&awaited[i].watch->bells, bit);
}

static void set_bell(const el_awaited *awaited, int count, uint64_t bit) {
    set_bits(awaited, count, bit);
    atomic_thread_fence(memory_order_seq_cst);
}

int el_await_any(el_signals *signals, uint32_t bell_number, const el_awaited *awaited, int count, int64_t timeout_ms) {
    el_bell *bell = &signals->bells[bell_number % EL_BELLS];
    uint32_t seen = el_event_count_read(&bell->rings); /* before the bits are set: a ring after this ends the sleep */
    set_bell(awaited, count, UINT64_C(1) << (bell_number % EL_BELLS));
    EL_FAULT_POINT("await.watching");
    if (el_first_ready(awaited, count, 0) >= 0)
        return EL_DONE;
    int error_number = el_event_count_await(&bell->rings, seen, timeout_ms * 1000000);
    if (el_first_ready(awaited, count, 0) >= 0)
        return EL_DONE;
    return error_number == EINTR ? EL_INTERRUPTED : EL_TIMED_OUT;
}

uint32_t el_bell_read(const el_signals *signals, uint32_t bell) {
    return el_event_count_read(&signals->bells[bell % EL_BELLS].rings);
}

int32_t el_sleepers_due(const el_sleeper *sleepers, int32_t count, uint32_t bell, int32_t *due, int32_t due_max) {
    int32_t found = 0;
    for (int32_t i = 0; i < count; i++)
        set_bits(sleepers[i].awaited, sleepers[i].count, UINT64_C(1) << (bell % EL_BELLS));
    atomic_thread_fence(memory_order_seq_cst);
    for (int32_t i = 0; i < count && found < due_max; i++)
        if (el_first_ready(sleepers[i].awaited, sleepers[i].count, 0) >= 0)
            due[found++] = i;
    return found;
}

void el_bell_await(el_signals *signals, uint32_t bell, uint32_t seen, int64_t timeout_ms) {
    el_event_count_await(&signals->bells[bell % EL_BELLS].rings, seen, timeout_ms * 1000000);
}

void el_bell_forward(el_signals *signals, uint32_t bell, int event, const el_flag *is_over) {
    while (el_flag_raised(is_over) == 0) {
        uint32_t seen = el_bell_read(signals, bell); /* before the eventfd is written: a ring after this ends the sleep */
        uint64_t once = 1;
        if (write(event, &once, sizeof once) < 0) {
            /* it is full, so that it can be read */
        }
        el_bell_await(signals, bell, seen, EL_AWAIT_MS_MAX);
    }
}

void el_bell_ring(el_signals *signals, uint32_t bell) {
    el_event_count_advance(&signals->bells[bell % EL_BELLS].rings);
}

void el_flag_raise(el_flag *flag, el_signals *signals) {
    atomic_fetch_add(&flag->raised, 1);
    el_watch_ring(&flag->watch, signals);
}

int64_t el_flag_raised(const el_flag *flag) {
    return atomic_load(&flag->raised);
}

void el_flag_await(el_flag *flag, int64_t known, el_awaited *awaited) {
    *awaited = (el_awaited){&flag->raised, &flag->watch, known};
}
