/* The clocks. The monotonic one cannot be set; the other two are stopped and moved by tests of programs, in their own process. */

#ifndef EVENTLOG_STORE_CLOCK_H
#define EVENTLOG_STORE_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

static inline int64_t el_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Where el_clock_stop has stopped the two clocks; -1 while they run. */
extern _Atomic int64_t el_stopped_now_ms;
extern _Atomic int64_t el_stopped_lease_ms;

static inline int64_t el_clock_ms(const _Atomic int64_t *stopped_ms, clockid_t clock) {
    int64_t stopped = atomic_load_explicit(stopped_ms, memory_order_relaxed);
    if (__builtin_expect(stopped >= 0, 0))
        return stopped;
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Milliseconds since the epoch; the coarse clock is quicker to read, and behind by a tick of the kernel. */
static inline int64_t el_now_ms(void) {
    return el_clock_ms(&el_stopped_now_ms, CLOCK_REALTIME);
}

static inline int64_t el_now_coarse_ms(void) {
    return el_clock_ms(&el_stopped_now_ms, CLOCK_REALTIME_COARSE);
}

/* Milliseconds of the monotonic clock, by which the leases of members run out. */
static inline int64_t el_lease_ms(void) {
    return el_clock_ms(&el_stopped_lease_ms, CLOCK_MONOTONIC);
}

/* Stop both at these times, or let them run again: -1. */
void el_clock_stop(int64_t now_ms, int64_t lease_ms);

#endif
