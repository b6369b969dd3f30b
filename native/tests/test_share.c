/* The page of a share group: who has which record, what becomes of it, and where the floor is. */

#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/clock.h"
#include "../store/mutex.h"
#include "share_in_memory.h"

static const uint8_t another_boot[16] = "an earlier boot!";

static void accept_one(el_share *share, int64_t offset, uint64_t word) {
    int32_t refused;
    CHECK(el_share_accept(share, &offset, &word, 1, &refused) == EL_DONE && refused == 0);
}

static int is_refused(el_share *share, int64_t offset, uint64_t word) {
    int32_t refused;
    CHECK(el_share_accept(share, &offset, &word, 1, &refused) == EL_DONE);
    return refused == 1;
}

static int deliveries_of(uint64_t word) {
    int32_t state, deliveries;
    uint32_t seat;
    el_share_parse(word, &state, &deliveries, &seat);
    return deliveries;
}

static void test_only_the_same_boot_file_and_group_are_trusted(void) {
    shared share = new_shared(16, 0);
    size_t length = el_share_bytes(16);
    CHECK(el_share_is_trusted(share.page, this_boot, 1, 2, 3, length));
    CHECK(!el_share_is_trusted(share.page, another_boot, 1, 2, 3, length));
    CHECK(!el_share_is_trusted(share.page, this_boot, 9, 2, 3, length));
    CHECK(!el_share_is_trusted(share.page, this_boot, 1, 9, 3, length));
    CHECK(!el_share_is_trusted(share.page, this_boot, 1, 2, 9, length));
    CHECK(!el_share_is_trusted(share.page, this_boot, 1, 2, 3, length + 8));
    el_share_seal(share.page, length);
    CHECK(el_share_is_trusted(share.page, this_boot, 1, 2, 3, length));
    for (size_t bit = 0; bit < 8 * length; bit += bit < 8 * 320 ? 1 : 13) {
        if (bit / 8 >= offsetof(el_share_page, pad_header) && bit / 8 < offsetof(el_share_page, seats))
            continue;
        ((uint8_t *)share.page)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(!el_share_is_trusted(share.page, this_boot, 1, 2, 3, length) || bit / 8 / 4 == offsetof(el_share_page, seal) / 4);
        ((uint8_t *)share.page)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    el_share_unseal(share.page);
    CHECK(el_share_is_trusted(share.page, this_boot, 1, 2, 3, length));
    free_shared(&share);
}

static void test_records_are_claimed_once_and_the_floor_follows_what_is_accepted(void) {
    shared share = new_shared(16, 5);
    el_share one = worker(&share, 0, 100), two = worker(&share, 1, 200);
    claimed first = claim(&one, 100, 3, 0), second = claim(&two, 100, 2, 0);
    CHECK(first.claim.count == 3 && first.offsets[0] == 5 && first.offsets[2] == 7);
    CHECK(second.claim.count == 2 && second.offsets[0] == 8 && deliveries_of(second.words[0]) == 1);
    accept_one(&two, 8, second.words[0]);
    accept_one(&one, 6, first.words[1]);
    CHECK(el_share_floor(share.page) == 5 && el_slot_committed(share.group, 0) == -1);
    accept_one(&one, 5, first.words[0]);
    CHECK(el_share_floor(share.page) == 7 && el_slot_committed(share.group, 0) == 7);
    accept_one(&one, 7, first.words[2]);
    CHECK(el_share_floor(share.page) == 9 && el_slot_committed(share.group, 0) == 9);
    CHECK(is_refused(&one, 5, first.words[0]) && is_refused(&one, 9, first.words[0]) && is_refused(&one, 9, 0));
    int64_t counts[EL_SHARE_STATES], counters[4];
    el_share_count(share.page, counts);
    el_share_counters(share.page, counters);
    CHECK(counts[EL_SHARE_ACQUIRED] == 1 && counters[0] == 4);
    free_shared(&share);
}

static void test_a_record_given_back_comes_first_and_counts_deliveries(void) {
    shared share = new_shared(16, 0);
    el_share one = worker(&share, 0, 100), two = worker(&share, 1, 200);
    claimed first = claim(&one, 100, 4, 0);
    int is_archived;
    int64_t changes = el_share_changes(share.page);
    CHECK(el_share_release(&one, 2, first.words[2], 0, 1, &is_archived) == EL_DONE && !is_archived);
    CHECK(el_share_release(&one, 1, first.words[1], 0, 0, &is_archived) == EL_DONE && el_share_changes(share.page) == changes + 2);
    CHECK(el_share_release(&one, 1, first.words[1], 0, 1, &is_archived) == EL_NOT_ACQUIRED);
    claimed second = claim(&two, 100, 3, 0);
    CHECK(second.claim.count == 3 && second.offsets[0] == 1 && second.offsets[1] == 2 && second.offsets[2] == 4);
    CHECK(deliveries_of(second.words[0]) == 1 && deliveries_of(second.words[1]) == 2);
    CHECK(is_refused(&one, 2, first.words[2]));
    free_shared(&share);
}

static void test_a_record_waits_for_its_delay_and_for_its_lock(void) {
    shared share = new_shared(16, 0);
    el_share one = worker(&share, 0, 100), two = worker(&share, 1, 200);
    el_clock_stop(1000, 1000);
    claimed first = claim(&one, 2, 2, 0);
    int is_archived;
    CHECK(el_share_release(&one, 0, first.words[0], 500, 1, &is_archived) == EL_DONE && el_share_due_ms(share.page) == 500);
    el_clock_stop(1499, 1499);
    CHECK(claim(&two, 2, 2, 0).claim.count == 0);
    el_clock_stop(1500, 1500);
    claimed again = claim(&two, 2, 2, 0);
    CHECK(again.claim.count == 1 && again.offsets[0] == 0 && deliveries_of(again.words[0]) == 2);
    el_clock_stop(1000 + LOCK_MS, 1000 + LOCK_MS);
    uint64_t renewed = again.words[0];
    CHECK(el_share_renew(&two, 0, &renewed, LOCK_MS) == EL_DONE && renewed != again.words[0]);
    again = claim(&two, 2, 2, 0);
    CHECK(again.claim.count == 1 && again.offsets[0] == 1 && is_refused(&one, 1, first.words[1]));
    CHECK(el_share_renew(&one, 1, &first.words[1], LOCK_MS) == EL_NOT_ACQUIRED);
    el_clock_stop(1500 + LOCK_MS, 1500 + LOCK_MS);
    CHECK(claim(&one, 2, 2, 0).claim.count == 0); /* it was renewed */
    int64_t counters[4];
    el_share_counters(share.page, counters);
    CHECK(counters[3] == 1);
    el_clock_stop(-1, -1);
    free_shared(&share);
}

static void test_what_is_only_reserved_counts_no_delivery_and_may_be_taken_over(void) {
    shared share = new_shared(16, 0);
    el_share one = worker(&share, 0, 100), two = worker(&share, 1, 200);
    claimed first = claim(&one, 3, 3, 1);
    CHECK(deliveries_of(first.words[0]) == 0 && el_share_start(&one, 0, &first.words[0]) == EL_DONE);
    CHECK(deliveries_of(first.words[0]) == 1 && el_share_start(&one, 0, &first.words[0]) == EL_DONE);
    claimed second = claim(&two, 3, 3, 1);
    CHECK(second.claim.count == 1 && second.offsets[0] == 2 && deliveries_of(second.words[0]) == 1);
    CHECK(el_share_start(&two, 2, &second.words[0]) == EL_DONE && el_share_start(&one, 2, &first.words[2]) == EL_NOT_ACQUIRED);
    int64_t archived;
    CHECK(el_share_reap(&two, 0, 100, 1, &archived) == EL_DONE && archived == 0);
    claimed third = claim(&two, 3, 3, 0);
    CHECK(third.claim.count == 2 && deliveries_of(third.words[0]) == 2 && deliveries_of(third.words[1]) == 1);
    CHECK(el_share_start(&one, 1, &first.words[1]) == EL_NOT_ACQUIRED);
    free_shared(&share);
}

static void test_what_is_delivered_too_often_or_rejected_is_archived(void) {
    shared share = new_shared(16, 0);
    el_share one = worker(&share, 0, 100);
    int is_archived;
    int64_t archived;
    for (int delivery = 1; delivery <= DELIVERY_LIMIT; delivery++) {
        claimed again = claim(&one, 1, 1, 0);
        CHECK(again.claim.count == 1 && deliveries_of(again.words[0]) == delivery);
        CHECK(el_share_release(&one, 0, again.words[0], 0, 1, &is_archived) == EL_DONE);
        CHECK(is_archived == (delivery == DELIVERY_LIMIT));
    }
    CHECK(el_share_floor(share.page) == 1 && el_slot_committed(share.group, 0) == 1);
    claimed next = claim(&one, 2, 1, 0);
    CHECK(next.offsets[0] == 1 && el_share_reject(&one, 1, next.words[0]) == EL_DONE && el_share_floor(share.page) == 2);
    CHECK(el_share_reject(&one, 1, next.words[0]) == EL_NOT_ACQUIRED);
    for (int death = 1; death <= DELIVERY_LIMIT; death++) {
        CHECK(claim(&one, 3, 1, 0).claim.count == 1);
        CHECK(el_share_reap(&one, 0, 100, 1, &archived) == EL_DONE && archived == (death == DELIVERY_LIMIT));
    }
    CHECK(el_share_floor(share.page) == 3 && claim(&one, 3, 1, 0).claim.count == 0);
    free_shared(&share);
}

static void test_a_window_is_never_longer_than_it_may_be_and_goes_round(void) {
    shared share = new_shared(16, 3);
    el_share one = worker(&share, 0, 100);
    one.locks_max = 10;
    CHECK(claim(&one, 100, 64, 0).claim.count == 10 && claim(&one, 100, 64, 0).claim.count == 0);
    one.locks_max = 1000;
    CHECK(claim(&one, 100, 64, 0).claim.count == 6 && claim(&one, 100, 64, 0).claim.count == 0);
    int64_t archived;
    CHECK(el_share_reap(&one, 0, 100, 0, &archived) == EL_DONE);
    for (int64_t offset = 3; offset < 3 + 16 * 200; offset++) {
        claimed next = claim(&one, 10000, 1, 0);
        CHECK(next.claim.count == 1 && next.offsets[0] == offset && deliveries_of(next.words[0]) == 1);
        accept_one(&one, offset, next.words[0]);
        CHECK(is_refused(&one, offset, next.words[0]) && el_share_floor(share.page) == offset + 1);
    }
    free_shared(&share);
}

static void test_a_reset_empties_the_window_and_refuses_what_was_claimed_before(void) {
    shared share = new_shared(16, 0);
    el_share one = worker(&share, 0, 100);
    el_ack nobody = {.group = share.group, .signals = signals, .timeout_ms = 50, .slot = 0};
    claimed first = claim(&one, 100, 4, 0);
    accept_one(&one, 0, first.words[0]);
    CHECK(el_ack_commit(&nobody, 50, 1) == EL_STALE_MEMBER); /* a consumer of the same group */
    CHECK(el_ack_reset(&nobody, 2, 7) == EL_DONE);
    claimed second = claim(&one, 100, 4, 0);
    CHECK(second.claim.count == 4 && second.offsets[0] == 2 && el_share_floor(share.page) == 2);
    CHECK(is_refused(&one, 1, first.words[1]));
    CHECK(el_ack_reset(&nobody, -1, 8) == EL_DONE); /* its offset was deleted: it begins where it began */
    CHECK(claim(&one, 100, 4, 0).offsets[0] == 0 && el_slot_owner(share.group, 0) == EL_SHARE_OWNER);
    el_group_set_deleted(share.group, signals, 1);
    CHECK(claim(&one, 100, 4, 0).claim.count == 0);
    free_shared(&share);
}

static void test_a_seat_that_changes_hands_gives_back_what_was_claimed_from_it(void) {
    shared share = new_shared(16, 0);
    el_share former = worker(&share, 0, 100), later = worker(&share, 0, 200);
    claimed first = claim(&former, 100, 2, 0);
    claimed second = claim(&later, 100, 2, 0);
    CHECK(second.claim.count == 2 && second.offsets[0] == 0 && deliveries_of(second.words[0]) == 2);
    CHECK(is_refused(&former, 0, first.words[0]));
    int64_t archived;
    CHECK(el_share_reap(&later, 0, 100, 1, &archived) == EL_DONE);
    accept_one(&later, 0, second.words[0]);
    uint32_t seats[EL_SEATS];
    int64_t epochs[EL_SEATS];
    CHECK(el_share_seated(share.page, seats, epochs) == 1 && seats[0] == 0 && epochs[0] == 200);
    free_shared(&share);
}

/* A process that claims, finishes the second record and dies with the mutex. */
static void test_a_holder_that_dies_leaves_a_page_that_goes_on(void) {
    shared share = new_shared(16, 0);
    el_share one = worker(&share, 0, 100);
    if (fork() == 0) {
        el_share dying = worker(&share, 1, 200);
        claimed first = claim(&dying, 100, 4, 0);
        accept_one(&dying, 1, first.words[1]);
        atomic_store(&share.page->first_available, 99);
        el_mutex_lock(&share.page->lock.mutex, 1000);
        kill(getpid(), SIGKILL);
    }
    wait(NULL);
    int64_t archived;
    CHECK(el_share_reap(&one, 1, 200, 1, &archived) == EL_DONE);
    claimed again = claim(&one, 4, 4, 0);
    CHECK(again.claim.count == 3 && again.offsets[0] == 0 && again.offsets[1] == 2 && again.offsets[2] == 3);
    free_shared(&share);
}

static void test_a_mutex_that_is_held_for_too_long_is_named(void) {
    shared share = new_shared(16, 0);
    el_share one = worker(&share, 0, 100);
    CHECK(claim(&one, 100, 1, 0).claim.count == 1);
    one.timeout_ms = 0;
    el_mutex_lock(&share.page->lock.mutex, 1000);
    claimed none = new_claimed(1);
    CHECK(el_share_claim(&one, 100, 0, &none.claim) == EL_LOCK_TIMEOUT && one.holder == getpid());
    pthread_mutex_unlock(&share.page->lock.mutex);
    el_mutex_lock(&share.page->lock.mutex, 1000);
    el_share_free(share.page); /* the file system was rolled back to this moment */
    CHECK(el_share_claim(&one, 100, 0, &none.claim) == EL_DONE && none.claim.count == 1);
    free_shared(&share);
}

int main(void) {
    signals = new_signals();
    test_only_the_same_boot_file_and_group_are_trusted();
    test_records_are_claimed_once_and_the_floor_follows_what_is_accepted();
    test_a_record_given_back_comes_first_and_counts_deliveries();
    test_a_record_waits_for_its_delay_and_for_its_lock();
    test_what_is_only_reserved_counts_no_delivery_and_may_be_taken_over();
    test_what_is_delivered_too_often_or_rejected_is_archived();
    test_a_window_is_never_longer_than_it_may_be_and_goes_round();
    test_a_reset_empties_the_window_and_refuses_what_was_claimed_before();
    test_a_seat_that_changes_hands_gives_back_what_was_claimed_from_it();
    test_a_holder_that_dies_leaves_a_page_that_goes_on();
    test_a_mutex_that_is_held_for_too_long_is_named();
    return DONE();
}
