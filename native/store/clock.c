#define _GNU_SOURCE
#include "clock.h"

#include <stdatomic.h>

static _Atomic int64_t stopped_now_ms = -1;
static _Atomic int64_t stopped_lease_ms = -1;

static int64_t read_ms(const _Atomic int64_t *stopped_ms, clockid_t clock) {
    int64_t stopped = atomic_load_explicit(stopped_ms, memory_order_relaxed);
    if (stopped >= 0)
        return stopped;
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t el_now_ms(void) {
    return read_ms(&stopped_now_ms, CLOCK_REALTIME);
}

int64_t el_now_coarse_ms(void) {
    return read_ms(&stopped_now_ms, CLOCK_REALTIME_COARSE);
}

int64_t el_lease_ms(void) {
    return read_ms(&stopped_lease_ms, CLOCK_MONOTONIC);
}

void el_clock_stop(int64_t now_ms, int64_t lease_ms) {
    atomic_store(&stopped_now_ms, now_ms);
    atomic_store(&stopped_lease_ms, lease_ms);
}
