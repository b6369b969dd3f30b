/* The monotonic clock, which cannot be set. */

#ifndef EVENTLOG_STORE_CLOCK_H
#define EVENTLOG_STORE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t el_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
