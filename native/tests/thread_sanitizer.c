/* The thread sanitizer does not know pthread_mutex_clocklock: here it is told what that does. Linked with --wrap. */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sanitizer/tsan_interface.h>

int __real_pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *deadline);
int __wrap_pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *deadline);

int __wrap_pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *deadline) {
    __tsan_mutex_pre_lock(mutex, __tsan_mutex_try_lock);
    int result = __real_pthread_mutex_clocklock(mutex, clock, deadline);
    int is_locked = result == 0 || result == EOWNERDEAD;
    __tsan_mutex_post_lock(mutex, __tsan_mutex_try_lock | (is_locked ? 0 : __tsan_mutex_try_lock_failed), 0);
    return result;
}
