/* Group commit: who waits for a flush while another one is under way shares the next one with all others. */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "log_in_memory.h"

#define THREADS 16
#define ROUNDS 200

static _Atomic int syncs;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd) {
    syncs++;
    return __real_fdatasync(fd);
}

static int64_t append(el_appender *appender) {
    static const uint8_t value[] = "value";
    el_new_record record = {.value = value, .value_length = sizeof value, .key_length = -1, .timestamp = 1000};
    return el_append_record(appender, &appender->encoding, &record, 1);
}

static void append_durably(el_appender *appender) {
    int64_t offset = append(appender);
    CHECK(offset >= 0 && el_flush(appender, offset + 1) == EL_DONE);
    CHECK(el_head_durable_offset(appender->head) > offset);
}

static void *append_one(void *argument) {
    el_appender *appender = attach(argument, 1);
    append_durably(appender);
    el_appender_free(appender);
    return NULL;
}

static void *append_many(void *argument) {
    el_appender *appender = attach(argument, 1);
    for (int i = 0; i < ROUNDS; i++)
        append_durably(appender);
    el_appender_free(appender);
    return NULL;
}

static void start(pthread_t *threads, void *(*work)(void *), log_in_memory *log) {
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, log) == 0);
}

static void join(const pthread_t *threads) {
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void test_all_who_waited_share_one_sync(void) {
    log_in_memory log = new_log(new_signals());
    pthread_t threads[THREADS];
    int32_t holder;
    CHECK(el_head_lock_flush(log.head, 1000, &holder) == EL_DONE);
    start(threads, append_one, &log);
    while (el_head_end_offset(log.head) < THREADS)
        sched_yield();
    CHECK(el_head_durable_offset(log.head) == 0);
    syncs = 0;
    el_head_unlock_flush(log.head);
    join(threads);
    CHECK(syncs == 1 && el_head_durable_offset(log.head) == THREADS);
}

static void append_one_more(el_appender *appender) {
    CHECK(append(appender) == 1);
    appender->lock_timeout_ms = 20;
}

static void *flush_in_vain(void *argument) {
    el_appender *appender = argument;
    CHECK(el_flush(appender, 1) == EL_DONE); /* which is durable already */
    CHECK(el_flush(appender, 2) == EL_LOCK_TIMEOUT && appender->holder == getpid());
    return NULL;
}

static void test_a_mutex_that_nobody_gives_back_is_a_timeout(void) {
    log_in_memory log = new_log(new_signals());
    pthread_t thread;
    int32_t holder = -1;
    el_appender *appender = attach(&log, 1);
    append_durably(appender);
    append_one_more(appender);
    CHECK(el_head_lock_flush(log.head, 1000, &holder) == EL_DONE && holder == 0);
    CHECK(pthread_create(&thread, NULL, flush_in_vain, appender) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(el_flush(appender, 2) == EL_HELD_ALREADY); /* by this thread, in which a signal handler may have come in */
    el_head_unlock_flush(log.head);
    CHECK(el_flush(appender, 2) == EL_DONE);
    el_appender_free(appender);
}

static void test_a_retired_appender_flushes_nothing(void) {
    log_in_memory log = new_log(new_signals());
    el_appender *appender = attach(&log, 1);
    append_durably(appender);
    append_one_more(appender);
    CHECK(el_appender_retire(appender) == EL_DONE);
    CHECK(el_flush(appender, 2) == EL_SEGMENT_CHANGED && el_head_durable_offset(log.head) == 1);
    el_appender_free(appender);
}

static void test_many_threads_flush_all_that_they_append(void) {
    log_in_memory log = new_log(new_signals());
    pthread_t threads[THREADS];
    start(threads, append_many, &log);
    join(threads);
    CHECK(el_head_durable_offset(log.head) == THREADS * ROUNDS && el_head_end_offset(log.head) == THREADS * ROUNDS);
}

static void test_whatever_stands_in_the_group_a_flush_comes_to_its_end(void) {
    static const uint8_t fillings[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (size_t i = 0; i < sizeof fillings; i++) {
        log_in_memory log = new_log(new_signals());
        pthread_t threads[THREADS];
        memset(&log.head->group, fillings[i], sizeof log.head->group);
        start(threads, append_one, &log);
        join(threads);
        CHECK(el_head_durable_offset(log.head) == THREADS);
    }
}

static void *arrive(void *argument) {
    el_group_commit *group = argument;
    uint32_t ended = el_event_count_read(&group->ended);
    el_group_commit_await(group, ended, 60000);
    CHECK(el_event_count_has_advanced(&group->ended, ended));
    return NULL;
}

static void test_those_who_sleep_are_counted_when_they_are_woken(void) {
    el_group_commit group = {0};
    pthread_t thread;
    while (group.crowd == 0) { /* the thread may only be about to sleep: it does not count then */
        CHECK(pthread_create(&thread, NULL, arrive, &group) == 0);
        while ((el_event_count_read(&group.ended) & 1) == 0)
            sched_yield();
        el_group_commit_end(&group);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(group.crowd == 1 && group.arrived > 0);
    el_group_commit_gather(&group); /* in vain, and not for ever */
    el_group_commit_end(&group);
    CHECK(group.crowd == 0);
}

static el_group_commit crowded = {.crowd = UINT32_MAX, .sync_ns = INT64_MAX};
static _Atomic int has_gathered;

static void *arrive_again_and_again(void *argument) {
    while (!has_gathered)
        el_group_commit_await(argument, el_event_count_read(&crowded.ended) ^ 2, 1000); /* which was over long ago */
    return NULL;
}

static void test_gathering_ends_although_somebody_arrives_all_the_time(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, arrive_again_and_again, &crowded) == 0);
    while (crowded.arrived < 1000)
        sched_yield();
    el_group_commit_gather(&crowded);
    has_gathered = 1;
    CHECK(pthread_join(thread, NULL) == 0);
}

int main(void) {
    test_gathering_ends_although_somebody_arrives_all_the_time();
    test_whatever_stands_in_the_group_a_flush_comes_to_its_end();
    test_those_who_sleep_are_counted_when_they_are_woken();
    test_all_who_waited_share_one_sync();
    test_a_mutex_that_nobody_gives_back_is_a_timeout();
    test_a_retired_appender_flushes_nothing();
    test_many_threads_flush_all_that_they_append();
    return DONE();
}
