/* Watches and bells: who waits is woken, whatever the moment at which the number moves. */

#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../store/signals.h"
#include "check.h"

#define ROUNDS 20000
#define BOUND_MS 60000

static el_signals *new_signals(void) {
    int fd = memfd_create("signals", 0);
    CHECK(fd >= 0 && ftruncate(fd, EL_SIGNALS_BYTES) == 0);
    el_signals *signals = el_signals_map(fd);
    CHECK(signals != NULL);
    close(fd);
    return signals;
}

static void test_what_is_ready_ends_the_wait_at_once(void) {
    el_signals *signals = new_signals();
    el_awaited awaited[2];
    el_flag flag = {0};
    el_flag_await(&flag, 0, &awaited[0]);
    el_signals_await_catalog(signals, 0, &awaited[1]);
    CHECK(el_await_any(signals, 0, awaited, 2, 1) == EL_TIMED_OUT);
    CHECK(el_first_ready(awaited, 2, 0) == -1);
    el_signals_catalog_changed(signals, 7);
    CHECK(el_await_any(signals, 0, awaited, 2, 1000) == EL_DONE);
    CHECK(el_first_ready(awaited, 2, 0) == 1 && el_first_ready(awaited, 2, 1) == 1);
    el_flag_raise(&flag, signals);
    CHECK(el_first_ready(awaited, 2, 0) == 0 && el_first_ready(awaited, 2, 1) == 1);
    CHECK(el_flag_raised(&flag) == 1 && el_signals_catalog_version(signals) == 1);
    CHECK(el_signals_catalog_announced(signals) == 7);
    el_signals_unmap(signals);
}

static void *take_bell(void *signals) {
    uint32_t bell = el_signals_bell(signals);
    CHECK(el_signals_bell(signals) == bell);
    return (void *)(uintptr_t)bell;
}

static void test_each_thread_has_a_bell_and_they_are_taken_in_turn(void) {
    el_signals *signals = new_signals();
    for (uintptr_t i = 0; i < 2 * EL_BELLS; i++) {
        pthread_t thread;
        void *bell;
        CHECK(pthread_create(&thread, NULL, take_bell, signals) == 0 && pthread_join(thread, &bell) == 0);
        CHECK((uintptr_t)bell == i % EL_BELLS);
    }
    el_signals_unmap(signals);
}

static void test_only_watched_bells_ring_and_only_once(void) {
    el_signals *signals = new_signals();
    el_flag flag = {0};
    el_flag_raise(&flag, signals);
    CHECK(el_event_count_read(&signals->bells[5].rings) == 0);
    el_awaited awaited;
    el_flag_await(&flag, 1, &awaited);
    CHECK(el_await_any(signals, 5, &awaited, 1, 1) == EL_TIMED_OUT);
    el_flag_raise(&flag, signals);
    el_flag_raise(&flag, signals);
    CHECK(!el_event_count_has_advanced(&signals->bells[5].rings, 2));
    CHECK(el_event_count_read(&signals->bells[4].rings) == 0);
    el_signals_unmap(signals);
}

typedef struct game {
    el_signals *signals;
    el_flag there;
    el_flag back;
    uint32_t bell;
    int64_t late; /* waits that only the bound on them ended: a wake-up was lost */
} game;

static void wait_past(game *game, el_flag *flag, int64_t known, uint32_t bell) {
    el_awaited awaited;
    el_flag_await(flag, known, &awaited);
    for (;;) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        if (el_await_any(game->signals, bell, &awaited, 1, BOUND_MS) == EL_DONE) {
            clock_gettime(CLOCK_MONOTONIC, &after);
            int64_t took_ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
            if (took_ms >= BOUND_MS)
                __atomic_fetch_add(&game->late, 1, __ATOMIC_RELAXED);
            return;
        }
    }
}

static void *answer(void *argument) {
    game *game = argument;
    for (int64_t i = 0; i < ROUNDS; i++) {
        wait_past(game, &game->there, i, game->bell);
        el_flag_raise(&game->back, game->signals);
    }
    return NULL;
}

/* Two threads wake each other in turn. A wake-up that is lost would show as a wait of a minute: no machine stands still for that long. */
static void play(uint32_t bell_here, uint32_t bell_there) {
    game game = {.signals = new_signals(), .bell = bell_there};
    pthread_t other;
    CHECK(pthread_create(&other, NULL, answer, &game) == 0);
    for (int64_t i = 0; i < ROUNDS; i++) {
        el_flag_raise(&game.there, game.signals);
        wait_past(&game, &game.back, i, bell_here);
    }
    CHECK(pthread_join(other, NULL) == 0);
    CHECK(game.late == 0);
    CHECK(el_flag_raised(&game.back) == ROUNDS);
    el_signals_unmap(game.signals);
}

static void test_one_sleeps_for_many_and_is_told_who_is_due(void) {
    el_signals *signals = new_signals();
    el_flag flags[3] = {{0}};
    el_awaited awaited[3];
    el_sleeper sleepers[4] = {{&awaited[0], 1}, {NULL, 0}, {&awaited[1], 2}, {&awaited[0], 1}};
    int32_t due[4];
    for (int i = 0; i < 3; i++)
        el_flag_await(&flags[i], 0, &awaited[i]);
    uint32_t seen = el_bell_read(signals, 3);
    CHECK(el_sleepers_due(sleepers, 4, 3, due, 4) == 0);
    el_flag_raise(&flags[2], signals);
    el_bell_await(signals, 3, seen, BOUND_MS); /* returns at once */
    CHECK(el_sleepers_due(sleepers, 4, 3, due, 4) == 1 && due[0] == 2);
    el_flag_raise(&flags[0], signals);
    CHECK(el_sleepers_due(sleepers, 4, 3, due, 2) == 2 && due[0] == 0 && due[1] == 2);
    seen = el_bell_read(signals, 3);
    el_bell_ring(signals, 3);
    el_bell_await(signals, 3, seen, BOUND_MS);
    el_signals_unmap(signals);
}

int main(void) {
    test_one_sleeps_for_many_and_is_told_who_is_due();
    test_what_is_ready_ends_the_wait_at_once();
    test_each_thread_has_a_bell_and_they_are_taken_in_turn();
    test_only_watched_bells_ring_and_only_once();
    play(1, 2);
    play(7, 7); /* a bell that two share rings for both */
    return DONE();
}
