/* Sleeping on a word of shared memory, and waking the sleepers: futex(2). */

#ifndef EVENTLOG_STORE_FUTEX_H
#define EVENTLOG_STORE_FUTEX_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sleep while the word has this value, for the time given at most. 0 if woken, EAGAIN if it has another value, ETIMEDOUT or EINTR. */
static inline int el_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t nanoseconds) {
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    return syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0) == 0 ? 0 : errno;
}

/* How many were woken. */
static inline long el_futex_wake_all(_Atomic uint32_t *word) {
    return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

#endif
