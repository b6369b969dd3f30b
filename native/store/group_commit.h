/* Group commit: threads that need a flush share one, whatever process they are in.
 *
 * The thread that gets the flush mutex flushes everything that was appended before. The others sleep until that flush has ended,
 * but not in the mutex's queue: each would have to wait for its turn there, only to find that nothing is left to do.
 *
 * All threads that a flush has covered go on at the same time, and many will be back with another record sooner than a flush takes.
 * If the first of them flushed at once, the rest would just miss it, and every record would wait for two flushes. So the thread that
 * flushes next waits until as many have arrived as slept through the last flush; or until no thread has arrived for a quarter of the
 * time that a flush takes; or for half of that time, so that slow threads do not keep the others waiting. A lone writer does not wait.
 * Source of the idea: commit_delay and commit_siblings of PostgreSQL, which are set by hand.
 *
 * Any content is as good as zeros, and any of it may be lost: a thread that dies wakes no other, so every sleep has a bound. */

#ifndef EVENTLOG_STORE_GROUP_COMMIT_H
#define EVENTLOG_STORE_GROUP_COMMIT_H

#include <stdatomic.h>
#include <stdint.h>

#include "event_count.h"

typedef struct el_group_commit {
    el_event_count ended; /* the flush mutex was unlocked */
    _Atomic uint32_t arrived; /* how many threads found the mutex taken since its holder began to gather; the holder sleeps on this */
    _Atomic uint32_t crowd;   /* how many threads slept through the last flush */
    _Atomic int64_t sync_ns;  /* how long that flush took */
} el_group_commit;

/* The mutex was found taken, and `ended` was read before that: sleep until its holder unlocks it, at most timeout_ms. */
void el_group_commit_await(el_group_commit *group, uint32_t ended, int64_t timeout_ms);

/* Holding the mutex, before a flush: give other threads time to append what it will cover. */
void el_group_commit_gather(el_group_commit *group);

/* Holding the mutex: note how long a flush took. */
void el_group_commit_synced(el_group_commit *group, int64_t nanoseconds);

/* The mutex was unlocked: wake all. */
void el_group_commit_end(el_group_commit *group);

#endif
