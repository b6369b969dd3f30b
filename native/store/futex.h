/* Sleeping on a word of shared memory, and waking who does: futex(2). */

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

/* Sleep while the word has this value, at most so long. 0 if woken, EAGAIN if it has another one, ETIMEDOUT or EINTR. */
static inline int el_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t nanoseconds) {
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    return syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0) == 0 ? 0 : errno;
}

/* How many it were. */
static inline long el_futex_wake_all(_Atomic uint32_t *word) {
    return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

#endif
