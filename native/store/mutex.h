/* Mutexes that live in a mapped file: shared by processes, and given back by the kernel when their holder dies. */

#ifndef EVENTLOG_STORE_MUTEX_H
#define EVENTLOG_STORE_MUTEX_H

#include <pthread.h>
#include <stdint.h>

/* `type` is a POSIX mutex type, such as PTHREAD_MUTEX_NORMAL. */
void el_mutex_initialise(pthread_mutex_t *mutex, int type);

/* Lock within the time given; 0 ms: now or not at all. Returns 0, EOWNERDEAD (locked; the holder died inside: make the state right, then call
 * pthread_mutex_consistent), EDEADLK (this thread has it, and it checks for errors: told if there is time) or another errno: not locked. */
int el_mutex_lock(pthread_mutex_t *mutex, int64_t timeout_ms);

/* Has a thread locked it that did not die with it? Where nobody else has the mutex mapped, that thread is one of before the file
 * system was rolled back, and nobody will ever give the mutex back. Source: futex(2), "Robust futexes", and glibc's layout. */
int el_mutex_is_held(const pthread_mutex_t *mutex);

/* Has the calling thread locked it? For assertions. */
int el_mutex_is_own(const pthread_mutex_t *mutex);

#endif
