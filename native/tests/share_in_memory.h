/* A share group of one partition, in memory that forked processes share, and its workers. */

#ifndef EVENTLOG_TESTS_SHARE_IN_MEMORY_H
#define EVENTLOG_TESTS_SHARE_IN_MEMORY_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../store/share.h"
#include "check.h"

#define LOCK_MS 30000
#define DELIVERY_LIMIT 5
#define CLAIM_MAX 64

static const uint8_t this_boot[16] = "this very boot 1";
static el_signals *signals;

static inline void *map_memory(size_t length) {
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

static inline el_signals *new_signals(void) {
    return map_memory(EL_SIGNALS_BYTES);
}

typedef struct shared {
    el_group *group;
    el_share_page *page;
    int64_t start;
    el_ack acks[4]; /* by seat */
} shared;

static inline shared new_shared(uint32_t words_count, int64_t start) {
    shared share = {.start = start};
    share.group = map_memory(EL_SLOTS_START + EL_SLOT_BYTES);
    el_group_initialise(share.group, this_boot, 1, 2, 3, 0);
    el_slot_initialise(share.group, 0, -1, -1, 0);
    el_group_set_ready(share.group);
    share.page = map_memory(EL_SHARE_BYTES_MAX);
    el_share_initialise(share.page, this_boot, 1, 2, 3, words_count);
    for (int i = 0; i < 4; i++)
        share.acks[i] = (el_ack){
            .group = share.group, .signals = signals, .member_epoch = EL_SHARE_OWNER, .timeout_ms = 10000, .process_id = getpid()};
    return share;
}

static inline void free_shared(shared *share) {
    munmap(share->group, EL_SLOTS_START + EL_SLOT_BYTES);
    el_share_unmap(share->page);
}

static inline el_share worker(shared *share, uint32_t seat, int64_t epoch) {
    return (el_share){
        .page = share->page, .signals = signals, .ack = &share->acks[seat], .member_epoch = epoch, .timeout_ms = 10000,
        .start = share->start, .seat = seat, .process_id = getpid(), .lock_ms = LOCK_MS, .locks_max = EL_SHARE_WINDOW_MAX,
        .delivery_limit = DELIVERY_LIMIT};
}

typedef struct claimed {
    el_claim claim;
    int64_t offsets[CLAIM_MAX];
    uint64_t words[CLAIM_MAX];
} claimed;

static inline claimed new_claimed(int capacity) {
    static _Thread_local int64_t offsets[CLAIM_MAX];
    static _Thread_local uint64_t words[CLAIM_MAX];
    return (claimed){.claim = {.capacity = capacity, .offsets = offsets, .words = words}};
}

/* Claim what there is; what cannot be claimed from at all counts as nothing. */
static inline claimed claim(el_share *share, int64_t end, int capacity, int ahead) {
    claimed result = new_claimed(capacity);
    if (el_share_claim(share, end, ahead, &result.claim) != EL_DONE)
        CHECK(result.claim.count == 0);
    memcpy(result.offsets, result.claim.offsets, sizeof result.offsets);
    memcpy(result.words, result.claim.words, sizeof result.words);
    return result;
}

#endif
