/* Group commit: those who need a flush share one, in whatever processes they are.
 *
 * Whoever gets the flush mutex flushes for all who have appended before. The others sleep until that flush has ended, not in the
 * mutex's queue: there each would have to have its turn only to find that it has nothing to do.
 *
 * All whom a flush has covered go on at once, and many will be back with another record in less time than a flush takes. If the first
 * of them began at once, the rest would just miss it, and every record would wait for two flushes. So the one who flushes next waits
 * until as many have arrived as slept through the last flush, or until nobody has arrived for a quarter of a flush's time, and for
 * half of it at most: those who take longer to come back would keep the others waiting. A lone writer waits for nobody.
 * Source of the idea: commit_delay and commit_siblings of PostgreSQL, which are set by hand.
 *
 * Any content is as good as zeros, and any of it may be lost: who dies wakes nobody, so every sleep has a bound. */

#ifndef EVENTLOG_STORE_GROUP_COMMIT_H
#define EVENTLOG_STORE_GROUP_COMMIT_H

#include <stdatomic.h>
#include <stdint.h>

#include "event_count.h"

typedef struct el_group_commit {
    el_event_count ended; /* the flush mutex was given back */
    _Atomic uint32_t arrived; /* how many found the mutex taken since its holder began to gather; the holder sleeps on this */
    _Atomic uint32_t crowd;   /* how many slept through the last flush */
    _Atomic int64_t sync_ns;  /* how long it took */
} el_group_commit;

/* The mutex was found taken, and `ended` was read before: sleep until its holder gives it back, at most timeout_ms. */
void el_group_commit_await(el_group_commit *group, uint32_t ended, int64_t timeout_ms);

/* With the mutex, before a flush: let others append what it will cover. */
void el_group_commit_gather(el_group_commit *group);

/* With the mutex: a flush took so long. */
void el_group_commit_synced(el_group_commit *group, int64_t nanoseconds);

/* The mutex was given back: wake all. */
void el_group_commit_end(el_group_commit *group);

#endif
