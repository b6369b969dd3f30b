/* The slots of a group: who may commit, and what becomes of a holder that dies. */

#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/acks.h"
#include "../store/mutex.h"
#include "check.h"

#define SLOTS 4
#define BYTES (EL_SLOTS_START + SLOTS * EL_SLOT_BYTES)

static const uint8_t this_boot[16] = "this very boot 1";
static const uint8_t another_boot[16] = "an earlier boot!";
static el_signals *signals;

static el_group *new_group(void) {
    int fd = memfd_create("acks", 0);
    CHECK(fd >= 0 && ftruncate(fd, BYTES) == 0);
    el_group *group = el_group_map(fd);
    CHECK(group != NULL);
    close(fd);
    el_group_initialise(group, this_boot, 1, 2, 3, 10);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        el_slot_initialise(group, slot, -1, -1, 0);
    el_group_set_ready(group);
    return group;
}

static el_ack member(el_group *group, uint32_t slot, int64_t epoch) {
    return (el_ack){
        .group = group, .signals = signals, .member_epoch = epoch, .timeout_ms = 50, .slot = slot, .process_id = getpid()};
}

static void test_only_the_same_boot_file_and_group_are_trusted(void) {
    el_group *group = new_group();
    CHECK(el_group_is_trusted(group, this_boot, 1, 2, 3, BYTES));
    CHECK(!el_group_is_trusted(group, another_boot, 1, 2, 3, BYTES));
    CHECK(!el_group_is_trusted(group, this_boot, 9, 2, 3, BYTES));
    CHECK(!el_group_is_trusted(group, this_boot, 1, 9, 3, BYTES));
    CHECK(!el_group_is_trusted(group, this_boot, 1, 2, 9, BYTES));
    el_group_initialise(group, this_boot, 1, 2, 3, 10);
    CHECK(!el_group_is_trusted(group, this_boot, 1, 2, 3, BYTES)); /* not ready */
    el_group_unmap(group);
}

static void test_a_bit_of_a_sealed_file_that_changes_is_seen(void) {
    el_group *group = new_group();
    el_group_seal(group, BYTES);
    CHECK(el_group_is_trusted(group, this_boot, 1, 2, 3, BYTES));
    for (size_t bit = 0; bit < 8 * BYTES; bit += bit < 8 * 64 ? 1 : 13) {
        if (bit / 8 >= offsetof(el_group, pad_seal) && bit / 8 < offsetof(el_group, seats))
            continue;
        ((uint8_t *)group)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(!el_group_is_trusted(group, this_boot, 1, 2, 3, BYTES));
        ((uint8_t *)group)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    el_group_unseal(group);
    group->slots[1].committed++;
    CHECK(el_group_is_trusted(group, this_boot, 1, 2, 3, BYTES));
    el_group_unmap(group);
}

static void test_only_the_owner_commits_and_never_back(void) {
    el_group *group = new_group();
    el_ack one = member(group, 0, 100), two = member(group, 0, 200);
    CHECK(el_ack_commit(&one, 5, 1) == EL_STALE_MEMBER && el_slot_committed(group, 0) == -1);
    CHECK(el_ack_take(&one, 0) == EL_DONE && el_ack_take(&one, 0) == EL_DONE);
    CHECK(el_ack_take(&two, 0) == EL_STALE_MEMBER);
    CHECK(el_ack_commit(&one, 5, 1) == EL_DONE && el_slot_committed(group, 0) == 5);
    CHECK(el_ack_commit(&one, 3, 1) == EL_DONE && el_slot_committed(group, 0) == 5);
    CHECK(el_ack_commit(&two, 9, 1) == EL_STALE_MEMBER && el_slot_committed(group, 0) == 5);
    CHECK(el_slot_leader_epoch(group, 0) == -1 && el_ack_commit_with_epoch(&two, 5, 3) == EL_STALE_MEMBER);
    CHECK(el_ack_commit_with_epoch(&one, 5, 3) == EL_DONE && el_slot_leader_epoch(group, 0) == 3);
    CHECK(el_ack_commit_with_epoch(&one, 4, 2) == EL_DONE && el_slot_leader_epoch(group, 0) == 3);
    CHECK(el_slot_committed(group, 0) == 5);
    CHECK(el_ack_take(&two, 100) == EL_DONE); /* one is known to be gone */
    CHECK(el_ack_commit(&one, 9, 1) == EL_STALE_MEMBER && el_slot_committed(group, 0) == 5);
    CHECK(el_ack_release(&one) == EL_DONE && el_slot_owner(group, 0) == 200); /* not its own to give up */
    int64_t changes = el_group_changes(group);
    CHECK(el_ack_release(&two) == EL_DONE && el_slot_owner(group, 0) == 0 && el_group_changes(group) > changes);
    el_group_unmap(group);
}

static void test_a_reset_sets_any_offset_and_fences_the_owner(void) {
    el_group *group = new_group();
    el_ack one = member(group, 1, 100), nobody = member(group, 1, 0);
    CHECK(el_ack_take(&one, 0) == EL_DONE && el_ack_commit(&one, 50, 1) == EL_DONE);
    CHECK(el_ack_reset(&nobody, 7, 1) == EL_DONE && el_slot_committed(group, 1) == 7);
    CHECK(el_ack_commit(&one, 60, 1) == EL_STALE_MEMBER && el_slot_committed(group, 1) == 7);
    CHECK(el_ack_commit(&nobody, 8, 1) == EL_DONE && el_slot_committed(group, 1) == 8);
    el_group_unmap(group);
}

static void test_a_reset_is_done_once_and_an_earlier_one_never_after_it(void) {
    el_group *group = new_group();
    el_ack nobody = member(group, 1, 0);
    CHECK(el_ack_reset(&nobody, 7, 5) == EL_DONE && el_ack_commit(&nobody, 9, 1) == EL_DONE);
    CHECK(el_ack_reset(&nobody, 7, 5) == EL_DONE && el_ack_reset(&nobody, 3, 4) == EL_DONE);
    CHECK(el_slot_committed(group, 1) == 9);
    CHECK(el_ack_set_persisted(&nobody, 2, 4) == EL_DONE && el_slot_persisted(group, 1) == 7);
    CHECK(el_ack_set_persisted(&nobody, 9, 5) == EL_DONE && el_slot_persisted(group, 1) == 9);
    CHECK(el_ack_reset(&nobody, 3, 6) == EL_DONE && el_slot_committed(group, 1) == 3 && el_slot_persisted(group, 1) == 3);
    el_group_unmap(group);
}

static void test_a_seat_is_not_given_back_to_an_earlier_member(void) {
    el_group *group = new_group();
    el_group_sit(group, 1, 9);
    el_group_sit(group, 1, 8);
    CHECK(el_group_unseen_ms(group, 1, 9) >= 0 && el_group_unseen_ms(group, 1, 8) == -1);
    el_group_unmap(group);
}

static void test_a_commit_of_several_slots_is_all_or_nothing(void) {
    el_group *group = new_group();
    el_ack acks[3] = {member(group, 0, 100), member(group, 1, 100), member(group, 2, 100)};
    el_ack *all[3] = {&acks[0], &acks[1], &acks[2]};
    int64_t offsets[3] = {10, 20, 30};
    int failed = -1;
    el_ack_take(all[0], 0);
    el_ack_take(all[1], 0);
    CHECK(el_ack_commit_all(all, offsets, 3, &failed) == EL_STALE_MEMBER && failed == 2);
    for (uint32_t slot = 0; slot < 3; slot++)
        CHECK(el_slot_committed(group, slot) == -1);
    el_ack_take(all[2], 0);
    CHECK(el_ack_commit_all(all, offsets, 3, &failed) == EL_DONE);
    for (uint32_t slot = 0; slot < 3; slot++)
        CHECK(el_slot_committed(group, slot) == offsets[slot]);
    CHECK(el_ack_commit_all(all, offsets, 0, &failed) == EL_DONE);
    for (uint32_t slot = 0; slot < 3; slot++)
        CHECK(el_ack_commit(all[slot], 40, 0) == EL_DONE); /* every mutex was given back */
    el_group_unmap(group);
}

static void test_nothing_is_committed_to_a_deleted_group(void) {
    el_group *group = new_group();
    el_ack one = member(group, 0, 100);
    el_ack_take(&one, 0);
    el_group_refuse_commits(group, signals, 1);
    CHECK(el_ack_commit(&one, 5, 1) == EL_STALE_MEMBER && el_ack_settle(&one) == EL_DONE);
    el_group_refuse_commits(group, signals, 0);
    CHECK(el_ack_commit(&one, 5, 1) == EL_DONE);
    el_group_set_deleted(group, signals, SLOTS);
    CHECK(el_group_is_deleted(group));
    CHECK(el_ack_commit(&one, 6, 1) == EL_STALE_MEMBER && el_slot_committed(group, 0) == 5);
    el_group_unmap(group);
}

static void test_nothing_is_committed_once_the_process_lets_go_of_the_group(void) {
    el_group *group = new_group();
    el_flag closed = {0};
    el_ack one = member(group, 0, 0), other = member(group, 1, 0);
    one.closed = &closed;
    el_ack *both[2] = {&one, &other};
    int64_t offsets[2] = {6, 7};
    int failed;
    CHECK(el_ack_commit(&one, 5, 1) == EL_DONE && el_ack_settle(&one) == EL_DONE);
    el_flag_raise(&closed, signals);
    CHECK(el_ack_commit(&one, 6, 1) == EL_CLOSED && el_slot_committed(group, 0) == 5);
    CHECK(el_ack_commit_all(both, offsets, 2, &failed) == EL_CLOSED && failed == 0 && el_slot_committed(group, 1) == -1);
    CHECK(el_ack_commit(&other, 7, 1) == EL_DONE && el_ack_settle(&one) == EL_DONE); /* every mutex was given back */
    el_group_unmap(group);
}

static void test_a_holder_that_dies_inside_stops_nobody(void) {
    el_group *group = new_group();
    el_ack one = member(group, 0, 100);
    el_ack_take(&one, 0);
    pid_t child = fork();
    if (child == 0) {
        el_mutex_lock(&group->slots[0].lock.mutex, 1000);
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(el_ack_commit(&one, 5, 1) == EL_DONE && el_slot_committed(group, 0) == 5);
    CHECK(el_ack_commit(&one, 6, 1) == EL_DONE && el_slot_committed(group, 0) == 6);
    el_group_unmap(group);
}

static void test_a_mutex_whose_holder_is_of_before_a_rollback_is_freed(void) {
    el_group *group = new_group();
    el_ack one = member(group, 0, 100);
    el_ack_take(&one, 0);
    el_mutex_lock(&group->slots[0].lock.mutex, 1000);
    pthread_mutex_t held = group->slots[0].lock.mutex; /* as a snapshot of the file has it */
    pthread_mutex_unlock(&group->slots[0].lock.mutex);
    group->slots[0].lock.mutex = held;
    CHECK(el_mutex_is_held(&group->slots[0].lock.mutex) && el_ack_commit(&one, 5, 1) == EL_LOCK_TIMEOUT);
    el_group_free_slots(group, SLOTS);
    CHECK(!el_mutex_is_held(&group->slots[0].lock.mutex) && el_ack_commit(&one, 5, 1) == EL_DONE);
    el_group_unmap(group);
}

static void test_the_wait_for_a_slot_is_bounded_and_names_its_holder(void) {
    el_group *group = new_group();
    el_ack one = member(group, 0, 100);
    el_ack_take(&one, 0);
    int ready[2], end[2];
    CHECK(pipe(ready) == 0 && pipe(end) == 0);
    pid_t child = fork();
    if (child == 0) {
        char byte = 0;
        close(end[1]);
        el_mutex_lock(&group->slots[0].lock.mutex, 1000);
        atomic_store(&group->slots[0].holder, getpid());
        _exit(write(ready[1], &byte, 1) == 1 && read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    char byte;
    CHECK(read(ready[0], &byte, 1) == 1);
    CHECK(el_ack_commit(&one, 5, 0) == EL_LOCK_TIMEOUT);
    CHECK(el_ack_commit(&one, 5, 1) == EL_LOCK_TIMEOUT && one.holder == child);
    CHECK(el_slot_committed(group, 0) == -1);
    close(end[1]);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(el_ack_commit(&one, 5, 0) == EL_DONE);
    el_group_unmap(group);
}

static void test_slots_are_dirty_until_the_catalog_has_them(void) {
    el_group *group = new_group();
    uint32_t next = 0, found[2];
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        el_ack ack = member(group, slot, 0);
        if (slot != 1)
            el_ack_commit(&ack, 9, 1);
    }
    CHECK(el_slots_dirty(group, SLOTS, &next, found, 2) == 2 && found[0] == 0 && found[1] == 2);
    CHECK(el_slots_dirty(group, SLOTS, &next, found, 2) == 1 && found[0] == 3);
    CHECK(el_slots_dirty(group, SLOTS, &next, found, 2) == 0);
    el_ack persister = member(group, 0, 0);
    CHECK(el_ack_set_persisted(&persister, 9, 0) == EL_DONE);
    next = 0;
    CHECK(el_slots_dirty(group, SLOTS, &next, found, 2) == 2 && found[0] == 2);
    el_group_unmap(group);
}

static void test_generations_only_grow_and_seats_belong_to_their_member(void) {
    el_group *group = new_group();
    el_group_announce(group, signals, 12);
    el_group_announce(group, signals, 11);
    CHECK(el_group_generation(group) == 12);
    el_group_sit(group, 3, 100);
    CHECK(el_group_unseen_ms(group, 3, 100) >= 0 && el_group_unseen_ms(group, 3, 200) == -1);
    atomic_store(&group->seats[3].seen_ms, 1);
    CHECK(el_group_unseen_ms(group, 3, 100) > 0);
    el_group_seen(group, 3, 200); /* somebody who had the seat before */
    CHECK(atomic_load(&group->seats[3].seen_ms) == 1);
    CHECK(el_group_begin_persist(group, 1000) && !el_group_begin_persist(group, 1000));
    atomic_fetch_add(&group->persist_begun_ms, 3600000); /* by the clock of another time namespace, which was there before */
    CHECK(el_group_begin_persist(group, 1000) && !el_group_begin_persist(group, 1000));
    el_group_unmap(group);
}

int main(void) {
    int fd = memfd_create("signals", 0);
    CHECK(fd >= 0 && ftruncate(fd, EL_SIGNALS_BYTES) == 0);
    signals = el_signals_map(fd);
    test_only_the_same_boot_file_and_group_are_trusted();
    test_a_bit_of_a_sealed_file_that_changes_is_seen();
    test_only_the_owner_commits_and_never_back();
    test_a_reset_sets_any_offset_and_fences_the_owner();
    test_a_reset_is_done_once_and_an_earlier_one_never_after_it();
    test_a_seat_is_not_given_back_to_an_earlier_member();
    test_a_commit_of_several_slots_is_all_or_nothing();
    test_nothing_is_committed_to_a_deleted_group();
    test_nothing_is_committed_once_the_process_lets_go_of_the_group();
    test_a_holder_that_dies_inside_stops_nobody();
    test_a_mutex_whose_holder_is_of_before_a_rollback_is_freed();
    test_the_wait_for_a_slot_is_bounded_and_names_its_holder();
    test_slots_are_dirty_until_the_catalog_has_them();
    test_generations_only_grow_and_seats_belong_to_their_member();
    return DONE();
}
