/* The table of a partition's producers: what Kafka's rules say about the next batch, and threads that die while they change it. */

#define _GNU_SOURCE
#include <string.h>

#include "../codec/transactions.h"
#include "../store/producers.h"
#include "log_in_memory.h"

#define PRODUCER 4711

static el_producers *new_table(uint32_t capacity) {
    el_producers *table = malloc(el_producers_bytes(capacity));
    CHECK(table != NULL);
    el_producers_begin(table, capacity, 0);
    return table;
}

static el_batch batch_of(int32_t sequence, int32_t count, int16_t epoch) {
    return (el_batch){.producer_id = PRODUCER, .producer_epoch = epoch, .base_sequence = sequence, .record_count = count,
                      .last_offset_delta = count - 1};
}

static el_producer unknown(void) {
    return (el_producer){.id = -1, .transaction_start = -1, .coordinator_epoch = -1, .epoch = -1};
}

static int check(const el_producer *producer, int32_t sequence, int32_t count, int16_t epoch) {
    el_sequencing sequencing;
    int64_t offset;
    el_batch batch = batch_of(sequence, count, epoch);
    return el_producer_check(producer, &batch, &sequencing, &offset);
}

static void note(el_producer *producer, int32_t sequence, int32_t count, int16_t epoch, int64_t offset) {
    el_batch batch = batch_of(sequence, count, epoch);
    producer->id = PRODUCER;
    el_producer_note(producer, &batch, offset, 1000);
}

static void test_sequence_numbers(void) {
    el_producer producer = unknown();
    CHECK(check(&producer, 1234, 1, 0) == EL_DONE);
    for (int32_t number = 0; number < 7; number++)
        note(&producer, 10 * number, 10, 0, 100 + 10 * number);
    CHECK(check(&producer, 70, 1, 0) == EL_DONE);
    CHECK(check(&producer, 71, 1, 0) == EL_OUT_OF_ORDER);
    CHECK(check(&producer, 20, 10, 0) == EL_DUPLICATE && check(&producer, 60, 10, 0) == EL_DUPLICATE);
    CHECK(check(&producer, 10, 10, 0) == EL_OUT_OF_ORDER && check(&producer, 60, 9, 0) == EL_OUT_OF_ORDER);
    CHECK(check(&producer, 0, 1, 1) == EL_DONE && check(&producer, 70, 1, 1) == EL_OUT_OF_ORDER);
    note(&producer, 0, 1, 1, 200);
    CHECK(check(&producer, 70, 1, 0) == EL_PRODUCER_FENCED);
    note(&producer, INT32_MAX, 2, 1, 300);
    CHECK(check(&producer, 1, 1, 1) == EL_DONE && check(&producer, INT32_MAX, 2, 1) == EL_DUPLICATE);
}

static void test_a_table_finds_its_producers_while_it_grows(void) {
    el_producers *table = new_table(EL_PRODUCERS_CAPACITY_MIN);
    for (int64_t id = 0; id < 1000; id++) {
        if (!el_producers_has_room(table)) {
            el_producers *larger = new_table(table->capacity * 2);
            el_producers_copy(larger, table, 0);
            free(table);
            table = larger;
        }
        el_producer producer = {.id = id * 1024, .transaction_start = id % 3 == 0 ? id : -1, .last_ms = id};
        el_producers_put(table, &producer);
    }
    CHECK(table->count == 1000 && table->open_transactions == 334);
    for (int64_t id = 0; id < 1000; id++)
        CHECK(table->slots[el_producers_find(table, id * 1024)].last_ms == id);
    CHECK(table->slots[el_producers_find(table, 1)].id == -1);
    CHECK(el_producers_first_open(table, table->capacity) == 0);
    CHECK(el_producers_first_open(table, el_producers_find(table, 0)) == 3);
    el_producers *kept = new_table(table->capacity);
    el_producers_copy(kept, table, 900);
    CHECK(kept->count == 100 + 300 && kept->open_transactions == 334);
    free(kept);
    free(table);
}

static void test_what_was_prepared_counts_if_it_was_published(void) {
    el_producers *table = new_table(EL_PRODUCERS_CAPACITY_MIN);
    el_producer producer = unknown();
    note(&producer, 0, 1, 0, 5);
    uint32_t slot = el_producers_find(table, PRODUCER);
    el_producers_prepare(table, slot, &producer, 6);
    el_producers_settle(table, -1);
    CHECK(table->count == 0 && table->slots[slot].id == -1 && table->end_offset == 0);
    el_producers_prepare(table, slot, &producer, 6);
    el_producers_settle(table, 6);
    CHECK(table->count == 1 && table->slots[slot].id == PRODUCER && table->end_offset == 6);
    el_producers_settle(table, 6);
    CHECK(table->count == 1);
    free(table);
}

static int64_t append(el_appender *appender, int32_t sequence, int16_t attributes) {
    uint8_t data[256];
    el_batch_writer writer;
    el_sequencing sequencing;
    el_batch batch;
    el_batch_begin(&writer, data, sizeof data);
    el_batch_add(&writer, 1000, NULL, -1, (const uint8_t *)"v", 1, NULL, 0, 0);
    size_t length = el_batch_finish(&writer, attributes);
    CHECK(el_batch_parse(data, length, &batch) == EL_CODEC_OK);
    batch.producer_id = PRODUCER;
    batch.producer_epoch = 0;
    batch.base_sequence = sequence;
    el_batch_seal(data, &batch);
    return el_append_produced(appender, data, length, 0, 1, &sequencing);
}

static void test_an_appender_keeps_the_last_stable_offset(void) {
    log_in_memory log = new_log(new_signals());
    el_appender *appender = attach(&log, 0);
    CHECK(append(appender, 0, 0) == EL_PRODUCERS_BEHIND);
    int fd = new_file("producers", el_producers_bytes(EL_PRODUCERS_CAPACITY_MIN));
    CHECK(el_appender_use_producers(appender, fd) == EL_DONE);
    CHECK(append(appender, 0, 0) == EL_PRODUCERS_BEHIND);
    el_producers *built = new_table(EL_PRODUCERS_CAPACITY_MIN);
    CHECK(el_producers_install(appender, built) == EL_DONE);
    CHECK(append(appender, 0, 0) == 0 && append(appender, 0, 0) == 0 && append(appender, 2, 0) == EL_OUT_OF_ORDER);
    CHECK(el_head_stable_offset(log.head) == 1);
    CHECK(append(appender, 1, EL_ATTRIBUTE_TRANSACTIONAL) == 1 && append(appender, 2, EL_ATTRIBUTE_TRANSACTIONAL) == 2);
    CHECK(el_head_stable_offset(log.head) == 1 && append(appender, 3, 0) == EL_IN_TRANSACTION);
    CHECK(el_append_marker(appender, PRODUCER, 0, 0, 0) == EL_ABORTED_INDEX_NEEDED);
    CHECK(el_append_marker(appender, PRODUCER, 0, 0, 1) == 3 && el_append_marker(appender, PRODUCER, 0, 0, 1) == EL_NO_TRANSACTION);
    CHECK(el_head_stable_offset(log.head) == 4 && el_head_marker_end(log.head) == 4 && el_head_aborts(log.head) == 0);
    CHECK(el_producers_install(appender, built) == EL_PRODUCERS_BEHIND); /* it has none of these */
    free(built);
    el_appender_free(appender);
}

int main(void) {
    test_sequence_numbers();
    test_a_table_finds_its_producers_while_it_grows();
    test_what_was_prepared_counts_if_it_was_published();
    test_an_appender_keeps_the_last_stable_offset();
    return DONE();
}
