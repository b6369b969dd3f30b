/* What processes share, shared by threads, so that a sanitizer sees every access: no record, commit or look at the head is half done. */

#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "../store/acks.h"
#include "../store/reader.h"
#include "log_in_memory.h"

#define WRITERS 3
#define RECORDS 2000
#define COMMITS 5000

static const uint8_t this_boot[16] = "this very boot 1";
static el_signals *signals;

/* Values that say which of this writer's records they are, in lengths that take both ways to write them. */
static void *append_all(void *argument) {
    el_appender *appender = attach(argument, 0);
    static const uint8_t filler[2000];
    for (int64_t number = 0; number < RECORDS; number++) {
        uint8_t value[sizeof number + sizeof filler] = {0};
        size_t length = sizeof number + (size_t)(number % (int64_t)sizeof filler);
        memcpy(value, &number, sizeof number);
        el_new_record record = {
            .value = value, .value_length = (int64_t)length, .key = filler, .key_length = 0, .timestamp = 1000 + number};
        CHECK(el_append_record(appender, &appender->encoding, &record, 1) >= 0);
        if (number % 64 == 0)
            CHECK(el_flush(appender, el_head_end_offset(appender->head)) == EL_DONE);
    }
    el_appender_free(appender);
    return NULL;
}

/* Everything in the head that is looked at without a mutex. */
static void read_head_state(const el_head *head, int64_t seen) {
    int64_t segment_base, position;
    el_head_active_segment(head, &segment_base, &position);
    CHECK(segment_base == 0 && position >= 0 && position <= SEGMENT_BYTES);
    CHECK(el_head_end_offset(head) >= seen && el_head_durable_offset(head) <= el_head_end_offset(head));
    CHECK(el_head_poison(head) == 0 && !el_head_is_sealing(head) && el_head_start_offset(head) == 0);
}

static void *read_all(void *argument) {
    const log_in_memory *log = argument;
    el_reader *reader = el_reader_new(16384);
    CHECK(reader != NULL);
    reader->segment.fd = log->files[0];
    el_reader_seek(reader, 0, 0, 0);
    uint32_t bell = el_signals_bell(signals);
    int64_t found = 0;
    while (found < WRITERS * RECORDS) {
        el_awaited awaited;
        el_head_await(log->head, found, 0, &awaited);
        while (el_await_any(signals, bell, &awaited, 1, 1000) != EL_DONE)
            ;
        int64_t stop = el_head_end_offset(log->head);
        read_head_state(log->head, stop);
        while (reader->next_offset < stop) {
            el_record record;
            CHECK(el_reader_load(reader, stop) == EL_READ_READY);
            while (el_reader_next(reader, stop, &record) == 1) {
                CHECK(record.value_length >= (int32_t)sizeof(int64_t) && reader->next_offset == ++found);
            }
        }
    }
    el_reader_free(reader);
    return NULL;
}

static void test_appends_of_threads_are_read_whole_and_in_order(void) {
    log_in_memory log = new_log(signals);
    pthread_t threads[WRITERS + 2];
    for (int i = 0; i < WRITERS + 2; i++)
        CHECK(pthread_create(&threads[i], NULL, i < WRITERS ? append_all : read_all, &log) == 0);
    for (int i = 0; i < WRITERS + 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(el_head_end_offset(log.head) == WRITERS * RECORDS);
    el_head_unmap(log.head);
    for (int i = 0; i < 3; i++)
        close(log.files[i]);
}

typedef struct membership {
    el_group *group;
    int64_t epoch;
} membership;

/* Take the slot, commit a few offsets, give it up, and see that nobody else committed meanwhile. */
static void *commit_in_turn(void *argument) {
    const membership *member = argument;
    el_ack ack = {.group = member->group, .signals = signals, .member_epoch = member->epoch, .timeout_ms = 10000, .process_id = 1};
    int64_t committed = 0;
    while (committed < COMMITS) {
        if (el_ack_take(&ack, 0) != EL_DONE)
            continue;
        committed = el_slot_committed(ack.group, 0);
        for (int i = 0; i < 10; i++) {
            CHECK(el_ack_commit(&ack, committed + 1, 1) == EL_DONE);
            CHECK(el_slot_committed(ack.group, 0) == ++committed);
        }
        el_group_seen(ack.group, (uint32_t)ack.member_epoch, ack.member_epoch);
        CHECK(el_ack_release(&ack) == EL_DONE);
    }
    return NULL;
}

/* What persisters and onlookers do. */
static void *look_on(void *argument) {
    const membership *member = argument;
    int64_t before = -1, owner, committed, committed_ms, decided_by;
    el_ack persister = {.group = member->group, .signals = signals, .timeout_ms = 10000};
    while (before < COMMITS) {
        uint32_t next = 0, dirty;
        el_slots_copy(member->group, 1, &committed, &committed_ms, &owner, &decided_by);
        CHECK(committed >= before);
        before = committed;
        if (el_slots_dirty(member->group, 1, &next, &dirty, 1) == 1)
            el_ack_set_persisted(&persister, committed, 0);
        el_group_announce(member->group, signals, committed);
        CHECK(el_group_generation(member->group) >= committed && el_group_unseen_ms(member->group, 1, 9) == -1);
    }
    return NULL;
}

static void test_commits_of_threads_never_go_back_nor_overlap(void) {
    int fd = new_file("acks", EL_SLOTS_START + EL_SLOT_BYTES);
    el_group *group = el_group_map(fd);
    CHECK(group != NULL);
    close(fd);
    el_group_initialise(group, this_boot, 1, 2, 3, 0);
    el_slot_initialise(group, 0, 0, 0, 0);
    el_group_set_ready(group);
    pthread_t threads[4];
    membership members[4] = {{group, 1}, {group, 2}, {group, 3}, {group, 4}};
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, i < 3 ? commit_in_turn : look_on, &members[i]) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(el_slot_committed(group, 0) >= COMMITS && el_slot_owner(group, 0) == 0);
    el_group_unmap(group);
}

int main(void) {
    signals = new_signals();
    test_appends_of_threads_are_read_whole_and_in_order();
    test_commits_of_threads_never_go_back_nor_overlap();
    return DONE();
}
