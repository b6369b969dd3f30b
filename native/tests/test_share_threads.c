/* Workers of a share group as threads, so that a sanitizer sees every access: each record is finished exactly once. */

#define _GNU_SOURCE
#include <pthread.h>

#include "share_in_memory.h"

#define WORKERS 3
#define RECORDS 20000
#define WINDOW 64

typedef struct job {
    shared *share;
    uint32_t seat;
} job;

static _Atomic int accepted[RECORDS];

/* Claim, in all ways there are; give some records back, leave some to others by dying, and finish the rest. */
static void *work(void *argument) {
    job *own = argument;
    el_share share = worker(own->share, own->seat, own->seat + 1);
    unsigned choice = own->seat;
    while (el_share_floor(share.page) < RECORDS) {
        choice = choice * 1103515245 + 12345;
        claimed found = claim(&share, RECORDS, 1 + (int)(choice >> 16) % 20, choice >> 8 & 1);
        for (int i = 0; i < found.claim.count; i++) {
            int64_t offset = found.offsets[i], archived;
            int32_t refused = 0;
            int is_archived;
            if (el_share_start(&share, offset, &found.words[i]) != EL_DONE)
                continue;
            choice = choice * 1103515245 + 12345;
            if (choice >> 16 & 7) {
                if (choice >> 16 & 8)
                    el_share_renew(&share, offset, &found.words[i], LOCK_MS);
                CHECK(el_share_accept(&share, &offset, &found.words[i], 1, &refused) == EL_DONE && refused == 0);
                CHECK(atomic_fetch_add(&accepted[offset], 1) == 0);
            } else if (choice >> 20 & 7) {
                CHECK(el_share_release(&share, offset, found.words[i], 0, 0, &is_archived) == EL_DONE && !is_archived);
            } else {
                CHECK(el_share_reap(&share, own->seat, own->seat + 1, 0, &archived) == EL_DONE && archived == 0);
                break;
            }
        }
    }
    return NULL;
}

static void *look_on(void *argument) {
    shared *share = argument;
    int64_t before = 0, counts[EL_SHARE_STATES], counters[4], epochs[EL_SEATS];
    uint32_t seats[EL_SEATS];
    while (before < RECORDS) {
        int64_t floor = el_share_floor(share->page);
        CHECK(floor >= before && el_share_next(share->page) >= before);
        before = floor;
        el_share_count(share->page, counts);
        el_share_counters(share->page, counters);
        CHECK(el_share_seated(share->page, seats, epochs) <= WORKERS && el_share_due_ms(share->page) <= LOCK_MS);
    }
    return NULL;
}

int main(void) {
    signals = new_signals();
    shared share = new_shared(WINDOW, 0);
    pthread_t threads[WORKERS + 1];
    job jobs[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++) {
        jobs[i] = (job){&share, i};
        CHECK(pthread_create(&threads[i], NULL, work, &jobs[i]) == 0);
    }
    CHECK(pthread_create(&threads[WORKERS], NULL, look_on, &share) == 0);
    for (int i = 0; i <= WORKERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int offset = 0; offset < RECORDS; offset++)
        CHECK(accepted[offset] == 1);
    int64_t counters[4];
    el_share_counters(share.page, counters);
    CHECK(el_slot_committed(share.group, 0) == RECORDS && counters[0] == RECORDS && counters[1] == 0);
    free_shared(&share);
    return DONE();
}
