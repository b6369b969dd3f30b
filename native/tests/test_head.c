/* The shared head: trust, publication, and mutexes whose holders die. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/head.h"
#include "check.h"

static const uint8_t this_boot[16] = "this very boot 1";
static const uint8_t another_boot[16] = "an earlier boot!";

static el_head *new_head(void) {
    int fd = memfd_create("head", 0);
    CHECK(fd >= 0 && ftruncate(fd, EL_HEAD_BYTES) == 0);
    el_head *head = el_head_map(fd);
    CHECK(head != NULL);
    close(fd);
    el_tail tail = {.end_offset = 10, .segment_base = 0, .position = 700};
    el_limits limits = {.segment_bytes = 1 << 20};
    el_head_initialise(head, this_boot, 1, 2, &tail, &limits, 0, 700, 0, 0);
    return head;
}

static void publish(el_head *head, const el_tail *next) {
    int32_t holder;
    CHECK(el_head_lock_append(head, NULL, 1000, &holder) == EL_DONE);
    el_head_publish(head, next);
    el_head_unlock_append(head);
}

static void test_only_the_same_boot_and_file_are_trusted(void) {
    el_head *head = new_head();
    CHECK(el_head_is_trusted(head, this_boot, 1, 2));
    CHECK(!el_head_is_trusted(head, another_boot, 1, 2));
    CHECK(!el_head_is_trusted(head, this_boot, 3, 2));
    CHECK(!el_head_is_trusted(head, this_boot, 1, 3));
    el_head_set_poison(head, 5);
    CHECK(!el_head_is_trusted(head, this_boot, 1, 2));
    el_head_set_poison(head, 28);
    CHECK(el_head_poison(head) == 5); /* the first failure counts */
    el_head_unmap(head);
}

static void test_a_bit_of_a_sealed_page_that_changes_is_seen(void) {
    el_head *head = new_head();
    el_head_seal(head);
    CHECK(el_head_is_sealed(head) && el_head_is_trusted(head, this_boot, 1, 2));
    for (size_t bit = 0; bit < 8 * offsetof(el_head, checkpoint); bit++) {
        int is_watch = bit / 8 >= offsetof(el_head, watch) && bit / 8 < offsetof(el_head, append);
        ((uint8_t *)head)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(el_head_is_trusted(head, this_boot, 1, 2) == is_watch);
        ((uint8_t *)head)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    head->seal ^= 1;
    CHECK(!el_head_is_trusted(head, this_boot, 1, 2));
    el_head_unseal(head);
    head->tail.position++;
    CHECK(!el_head_is_sealed(head) && el_head_is_trusted(head, this_boot, 1, 2));
}

static void test_the_checkpoint_survives_and_a_damaged_one_is_not_believed(void) {
    el_head *head = new_head();
    el_checkpoint found;
    int32_t holder;
    publish(head, &(el_tail){.end_offset = 150, .segment_base = 100, .position = 4321});
    CHECK(el_head_lock_flush(head, 1000, &holder) == EL_DONE);
    el_head_store_durable(head, NULL, 100, 4321, 150);
    el_head_unlock_flush(head);
    CHECK(el_head_former_checkpoint(head, 1, 2, &found));
    CHECK(found.segment_base == 100 && found.position == 4321 && found.offset == 150);
    CHECK(el_head_durable_offset(head) == 150);
    CHECK(!el_head_former_checkpoint(head, 1, 3, &found));
    el_tail tail = {.end_offset = 120, .segment_base = 100, .position = 1000};
    el_limits limits = {0};
    el_head_initialise(head, another_boot, 1, 2, &tail, &limits, 0, 1000, 0, 1);
    CHECK(el_head_former_checkpoint(head, 1, 2, &found) && found.position == 4321);
    CHECK(el_head_durable_offset(head) == 120);
    head->checkpoint.position ^= 1;
    CHECK(!el_head_former_checkpoint(head, 1, 2, &found));
    el_head_unmap(head);
}

static void test_a_published_tail_is_seen(void) {
    el_head *head = new_head();
    int32_t holder = 0;
    el_tail next = head->tail;
    next.end_offset = 11;
    next.position = 800;
    publish(head, &next);
    CHECK(el_head_end_offset(head) == 11);
    el_tail tail;
    CHECK(el_head_snapshot(head, NULL, 1000, &tail, &holder) == EL_DONE && tail.position == 800);
    el_awaited awaited[2];
    el_head_await(head, 11, 0, &awaited[0]);
    el_head_await(head, 10, 0, &awaited[1]);
    CHECK(el_first_ready(awaited, 1, 0) == -1);
    CHECK(el_first_ready(awaited, 2, 0) == 1);
    el_head_unmap(head);
}

/* A child that has not locked anything does the work; how it ends. */
static int signal_without_a_mutex(void (*work)(el_head *)) {
    el_head *head = new_head();
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        work(head);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    el_head_unmap(head);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void publish_at_once(el_head *head) {
    el_tail next = head->tail;
    next.end_offset += 1;
    el_head_publish(head, &next);
}

static void store_durable_at_once(el_head *head) {
    el_head_store_durable(head, NULL, 0, 700, 10);
}

static void test_an_assertion_ends_who_changes_the_head_without_the_mutex(void) {
    CHECK(signal_without_a_mutex(publish_at_once) == SIGABRT);
    CHECK(signal_without_a_mutex(store_durable_at_once) == SIGABRT);
    CHECK(signal_without_a_mutex(el_head_unlock_append) == SIGABRT);
}

/* A child dies with the mutex, with `next` complete or not. */
static void die_inside(el_head *head, int next_is_complete) {
    pid_t child = fork();
    if (child == 0) {
        int32_t holder;
        if (el_head_lock_append(head, NULL, 1000, &holder) != EL_DONE)
            _exit(1);
        atomic_store(&head->writing, 1);
        head->next = head->tail;
        head->next.end_offset += 1;
        head->next.position += 100;
        atomic_store(&head->next_is_complete, (uint32_t)next_is_complete);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_a_dead_holders_append_is_finished_or_dropped(void) {
    for (int next_is_complete = 0; next_is_complete <= 1; next_is_complete++) {
        el_head *head = new_head();
        die_inside(head, next_is_complete);
        int32_t holder;
        CHECK(el_head_lock_append(head, NULL, 1000, &holder) == EL_DONE);
        CHECK(el_head_end_offset(head) == 10 + next_is_complete);
        CHECK(head->tail.end_offset == 10 + next_is_complete);
        CHECK(head->tail.position == 700 + 100 * next_is_complete);
        CHECK(atomic_load(&head->writing) == (uint32_t)!next_is_complete); /* the next writer cuts off what was written */
        el_head_unlock_append(head);
        CHECK(el_head_lock_append(head, NULL, 1000, &holder) == EL_DONE);
        el_head_unlock_append(head);
        el_head_unmap(head);
    }
}

static void test_the_active_segment_is_known_when_a_roll_died_between_two_stores(void) {
    el_head *head = new_head();
    int64_t segment_base, position;
    el_tail next = {.end_offset = 17, .segment_base = 17};
    publish(head, &(el_tail){.end_offset = 17, .position = 700});
    head->next = next;
    atomic_store(&head->next_is_complete, 1);
    head->tail.segment_base = next.segment_base; /* and its position is yet to come */
    el_head_active_segment(head, &segment_base, &position);
    CHECK(segment_base == 17 && position == 0);
    el_head_unmap(head);
}

static void test_the_wait_for_a_mutex_is_bounded_and_names_its_holder(void) {
    el_head *head = new_head();
    int ready[2], end[2];
    CHECK(pipe(ready) == 0 && pipe(end) == 0);
    pid_t child = fork();
    if (child == 0) {
        int32_t holder;
        char byte = 0;
        close(end[1]);
        el_head_lock_append(head, NULL, 1000, &holder);
        atomic_store(&head->append_holder, getpid()); /* as an appender does */
        if (write(ready[1], &byte, 1) != 1 || read(end[0], &byte, 1) != 0)
            _exit(1);
        _exit(0);
    }
    char byte;
    int32_t holder = 0;
    CHECK(read(ready[0], &byte, 1) == 1);
    CHECK(el_head_lock_append(head, NULL, 10, &holder) == EL_LOCK_TIMEOUT);
    CHECK(holder == child);
    close(end[1]);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(el_head_lock_append(head, NULL, 1000, &holder) == EL_DONE);
    el_head_unlock_append(head);
    el_head_unmap(head);
}

static void test_a_page_follows_what_another_one_has_published(void) {
    el_head *shared = new_head(), *own = new_head();
    el_head_set_poison(own, 30);
    publish(shared, &(el_tail){.end_offset = 25, .segment_base = 17, .position = 90, .first_unstable = 20, .aborts = 3});
    el_head_advance_start(shared, NULL, 12);
    el_head_segments_changed(shared);
    el_head_allow_gaps(shared);
    const el_head before = *shared;
    el_head_follow(own, shared, NULL);
    CHECK(memcmp(&before, shared, sizeof before) == 0);
    CHECK(el_head_end_offset(own) == 25 && el_head_start_offset(own) == 12 && el_head_durable_offset(own) == 10);
    CHECK(el_head_stable_offset(own) == 20 && el_head_aborts(own) == 3 && own->tail.position == 90);
    CHECK(el_head_segments_version(own) == 1 && el_head_may_have_gaps(own) && el_head_poison(own) == 30);
    shared->next = (el_tail){.end_offset = 26, .segment_base = 17, .position = 100, .first_unstable = -1};
    atomic_store(&shared->next_is_complete, 1); /* its process died there: whoever comes next completes it */
    shared->tail.end_offset = 26;
    el_head_follow(own, shared, NULL);
    CHECK(el_head_end_offset(own) == 26 && own->tail.position == 100 && el_head_stable_offset(own) == 26);
    memset(shared, 0, sizeof *shared); /* it is about to be initialised anew */
    el_head_follow(own, shared, NULL);
    CHECK(el_head_end_offset(own) == 26);
    el_head_unmap(shared);
    el_head_unmap(own);
}

static void test_a_page_that_is_mapped_to_be_read_has_what_others_publish(void) {
    int fd = memfd_create("head", 0);
    CHECK(fd >= 0 && ftruncate(fd, EL_HEAD_BYTES) == 0);
    el_head *shared = el_head_map(fd), *read_only = el_head_map_to_read(fd);
    el_tail tail = {.end_offset = 10, .position = 700};
    el_limits limits = {0};
    el_head_initialise(shared, this_boot, 1, 2, &tail, &limits, 0, 700, 0, 0);
    CHECK(el_head_is_trusted(read_only, this_boot, 1, 2) && el_head_end_offset(read_only) == 10);
    close(fd);
    el_head_unmap(shared);
    el_head_unmap(read_only);
}

int main(void) {
    test_only_the_same_boot_and_file_are_trusted();
    test_a_bit_of_a_sealed_page_that_changes_is_seen();
    test_the_checkpoint_survives_and_a_damaged_one_is_not_believed();
    test_a_published_tail_is_seen();
    test_an_assertion_ends_who_changes_the_head_without_the_mutex();
    test_a_dead_holders_append_is_finished_or_dropped();
    test_the_active_segment_is_known_when_a_roll_died_between_two_stores();
    test_the_wait_for_a_mutex_is_bounded_and_names_its_holder();
    test_a_page_follows_what_another_one_has_published();
    test_a_page_that_is_mapped_to_be_read_has_what_others_publish();
    return DONE();
}
