#define _GNU_SOURCE
#include "mutex.h"

#include <errno.h>
#include <time.h>

#include "fault.h"

void el_mutex_initialise(pthread_mutex_t *mutex, int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

int el_mutex_try(pthread_mutex_t *mutex) {
    static const struct timespec past = {0, 0};
    int result = pthread_mutex_trylock(mutex);
    if (result != EBUSY)
        return result;
    result = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &past);
    return result == ETIMEDOUT ? EBUSY : result;
}

/* The common case is one compare-and-swap.
 *
 * Giving a mutex back wakes one waiter. If that one is killed before it runs, and somebody else took the mutex meanwhile,
 * nobody knows any more that others are asleep. So a waiter tries again after a second at the latest. */
int el_mutex_lock(pthread_mutex_t *mutex, int64_t timeout_ms) {
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
    if (result == 0)
        EL_FAULT_POINT("mutex.taken");
    if (result == EOWNERDEAD)
        EL_FAULT_POINT("mutex.inherited");
    return result;
}
