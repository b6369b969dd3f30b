/* Mutexes in a mapped file: shared by processes, and unlocked by the kernel when their holder dies. */

#ifndef EVENTLOG_STORE_MUTEX_H
#define EVENTLOG_STORE_MUTEX_H

#include <pthread.h>
#include <stdint.h>

/* `type` is a POSIX mutex type, such as PTHREAD_MUTEX_NORMAL. */
void el_mutex_initialise(pthread_mutex_t *mutex, int type);

/* Lock within the time given; 0 ms: now or not at all. Returns 0; EOWNERDEAD if it is locked, but its holder died with it (repair the
 * state, then call pthread_mutex_consistent); or, if it is not locked, EDEADLK when this thread holds it already (error-checking
 * mutexes, and only with a timeout above 0) or another errno. */
int el_mutex_lock(pthread_mutex_t *mutex, int64_t timeout_ms);

/* Does it say that a living thread holds it? If no other process has the mutex mapped, that thread is one from before the file system
 * was rolled back, and the mutex will never be unlocked. Source: futex(2), "Robust futexes", and glibc's layout. */
int el_mutex_is_held(const pthread_mutex_t *mutex);

/* Does the calling thread hold it? For assertions. */
int el_mutex_is_own(const pthread_mutex_t *mutex);

#endif
