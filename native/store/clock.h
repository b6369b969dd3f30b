/* The clocks. The monotonic one cannot be set; the other two are stopped and moved by tests of programs, in their own process. */

#ifndef EVENTLOG_STORE_CLOCK_H
#define EVENTLOG_STORE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t el_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Milliseconds since the epoch; the coarse clock is quicker to read, and behind by a tick of the kernel. */
int64_t el_now_ms(void);
int64_t el_now_coarse_ms(void);

/* Milliseconds of the monotonic clock, by which the leases of members run out. */
int64_t el_lease_ms(void);

/* Stop both at these times, or let them run again: -1. */
void el_clock_stop(int64_t now_ms, int64_t lease_ms);

#endif
