/* Event counts: whoever sleeps is woken by the next advance, and an advance that is under way takes nobody's sleep from him. */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "../store/event_count.h"
#include "check.h"

#define A_MINUTE INT64_C(60000000000)
#define ROUNDS 20000

static void test_what_was_advanced_meanwhile_lets_nobody_sleep(void) {
    el_event_count events = {0};
    uint32_t seen = el_event_count_read(&events);
    CHECK(!el_event_count_has_advanced(&events, seen));
    CHECK(el_event_count_advance(&events) == 0 && el_event_count_has_advanced(&events, seen));
    CHECK(el_event_count_await(&events, seen, A_MINUTE) == 0);
}

static void test_a_sleep_has_a_bound_and_leaves_one_needless_wake_up(void) {
    el_event_count events = {.word = UINT32_MAX}; /* any content will do, and it begins anew at 0 */
    uint32_t seen = el_event_count_read(&events);
    CHECK(el_event_count_await(&events, seen, 1000000) == ETIMEDOUT);
    CHECK(!el_event_count_has_advanced(&events, seen));
    CHECK(el_event_count_advance(&events) == 0 && el_event_count_has_advanced(&events, seen));
    CHECK(el_event_count_read(&events) == 0);
}

typedef struct pair {
    el_event_count events; /* that both sleep on */
    _Atomic int turn;
    _Atomic int timed_out;
} pair;

static void take_turns(pair *pair, int mine) {
    for (int i = 0; i < ROUNDS; i++) {
        for (;;) {
            uint32_t seen = el_event_count_read(&pair->events);
            if (pair->turn == mine)
                break;
            if (el_event_count_await(&pair->events, seen, A_MINUTE) == ETIMEDOUT)
                pair->timed_out = 1;
        }
        pair->turn = !mine;
        el_event_count_advance(&pair->events);
    }
}

static void *take_the_other_turns(void *argument) {
    take_turns(argument, 1);
    return NULL;
}

static void test_two_who_sleep_on_one_count_wake_each_other(void) {
    pair pair = {0};
    pthread_t other;
    CHECK(pthread_create(&other, NULL, take_the_other_turns, &pair) == 0);
    take_turns(&pair, 0);
    CHECK(pthread_join(other, NULL) == 0);
    CHECK(!pair.timed_out);
}

static el_event_count shared_events;
static _Atomic int is_over;

static void *sleep_again_and_again(void *argument) {
    while (!is_over)
        el_event_count_await(&shared_events, el_event_count_read(&shared_events), A_MINUTE);
    return argument;
}

static void test_an_advance_tells_how_many_it_has_woken(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, sleep_again_and_again, NULL) == 0);
    while (el_event_count_advance(&shared_events) != 3)
        sched_yield();
    is_over = 1;
    for (int i = 0; i < 3; i++) {
        el_event_count_advance(&shared_events);
        while (pthread_tryjoin_np(threads[i], NULL) != 0)
            el_event_count_advance(&shared_events);
    }
}

int main(void) {
    test_what_was_advanced_meanwhile_lets_nobody_sleep();
    test_a_sleep_has_a_bound_and_leaves_one_needless_wake_up();
    test_two_who_sleep_on_one_count_wake_each_other();
    test_an_advance_tells_how_many_it_has_woken();
    return DONE();
}
