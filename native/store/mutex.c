#define _GNU_SOURCE
#include "mutex.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"

#define SPINS_MAX 50
#define PAUSES_PER_SPIN 4

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

void el_mutex_initialise(pthread_mutex_t *mutex, int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

/* What these mutexes guard takes microseconds, and falling asleep and waking takes longer: so a thread that finds one taken first
 * retries for about that long. */
static int spin(pthread_mutex_t *mutex) {
    int result = pthread_mutex_trylock(mutex);
    for (int i = 0; i < SPINS_MAX && result == EBUSY; i++) {
        for (int j = 0; j < PAUSES_PER_SPIN; j++)
            pause_briefly();
        result = pthread_mutex_trylock(mutex);
    }
    return result;
}

/* The common case is one compare-and-swap.
 *
 * Unlocking a mutex wakes one waiter. If that waiter is killed before it runs, and another thread has locked the mutex meanwhile, the
 * mutex no longer knows that others are asleep. So a waiter retries after a second at the latest. */
int el_mutex_lock(pthread_mutex_t *mutex, int64_t timeout_ms) {
    int result = timeout_ms > 0 ? spin(mutex) : pthread_mutex_trylock(mutex);
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

static int holder_of(const pthread_mutex_t *mutex) {
    return __atomic_load_n(&mutex->__data.__lock, __ATOMIC_RELAXED) & FUTEX_TID_MASK;
}

int el_mutex_is_held(const pthread_mutex_t *mutex) {
    return holder_of(mutex) != 0;
}

int el_mutex_is_own(const pthread_mutex_t *mutex) {
    return holder_of(mutex) == gettid();
}
