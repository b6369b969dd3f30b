/* Mutexes that live in a mapped file: shared by processes, and given back by the kernel when their holder dies. */

#ifndef EVENTLOG_STORE_MUTEX_H
#define EVENTLOG_STORE_MUTEX_H

#include <pthread.h>
#include <stdint.h>

/* `type` is a POSIX mutex type, such as PTHREAD_MUTEX_NORMAL. */
void el_mutex_initialise(pthread_mutex_t *mutex, int type);

/* Lock within the time given. Returns 0, EOWNERDEAD (locked; the holder died inside: make the state right, then call
 * pthread_mutex_consistent), or another errno: not locked. */
int el_mutex_lock(pthread_mutex_t *mutex, int64_t timeout_ms);

/* The same without waiting: EBUSY, or EDEADLK where the mutex checks for errors and this thread has it. */
int el_mutex_try(pthread_mutex_t *mutex);

#endif
