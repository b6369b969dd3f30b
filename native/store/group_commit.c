#define _GNU_SOURCE
#include "group_commit.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"

#define GATHER_NS_MAX 2000000 /* to wait for the next arrival; a slow disk gains nothing by more */

/* The number was read before the mutex was found taken, and it is advanced after the mutex is unlocked. */
void el_group_commit_await(el_group_commit *group, uint32_t ended, int64_t timeout_ms) {
    uint32_t crowd = atomic_load(&group->crowd);
    if (atomic_fetch_add(&group->arrived, 1) + 1 == crowd)
        el_futex_wake_all(&group->arrived);
    EL_FAULT_POINT("group.arrived");
    el_event_count_await(&group->ended, ended, timeout_ms * 1000000);
}

void el_group_commit_gather(el_group_commit *group) {
    uint32_t crowd = atomic_load(&group->crowd), arrived = 0;
    int64_t patience = atomic_load(&group->sync_ns) / 4, start = el_monotonic_ns();
    if (patience < 0 || patience > GATHER_NS_MAX)
        patience = GATHER_NS_MAX;
    atomic_store(&group->arrived, 0); /* a thread that found the mutex taken just before this is not counted: that only costs some time */
    EL_FAULT_POINT("group.gathering");
    while (arrived < crowd && el_monotonic_ns() - start < 2 * patience) {
        el_futex_wait(&group->arrived, arrived, patience);
        uint32_t before = arrived;
        arrived = atomic_load(&group->arrived);
        if (arrived == before)
            break;
    }
    EL_FAULT_POINT("group.gathered");
}

void el_group_commit_synced(el_group_commit *group, int64_t nanoseconds) {
    atomic_store(&group->sync_ns, nanoseconds);
}

void el_group_commit_end(el_group_commit *group) {
    long woken = el_event_count_advance(&group->ended);
    atomic_store(&group->crowd, woken > 0 ? (uint32_t)woken : 0);
}
