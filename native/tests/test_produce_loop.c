/* Produce requests that arrive together: which of them are answered in one call, and what ends it. */

#define _GNU_SOURCE
#include <string.h>

#include "../codec/big_endian.h"
#include "../store/produce_loop.h"
#include "log_in_memory.h"

#define VERSION 8
#define ANSWER_BYTES 128

static const uint8_t TOPIC[] = "orders";
static const el_produced_rules ANY = {.batch_bytes_max = 1 << 20, .codec = -1};

static uint8_t arrived[4096], answers[4096];
static el_produce_loop loop;

static uint8_t *put(uint8_t *at, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> (bytes - 1 - i) * 8);
    return at + bytes;
}

/* A request with a batch of one record without a key. */
static uint8_t *put_request(uint8_t *at, int32_t correlation_id, int acks, int32_t partition) {
    static const uint8_t RECORD[] = {16, 0, 0, 0, 1, 4, 'h', 'i', 0};
    el_batch batch = {.record_count = 1, .producer_id = -1, .size_bytes = EL_BATCH_HEADER_BYTES + sizeof RECORD};
    uint8_t *length = at;
    at = put(put(put(put(at + 4, 0, 2), VERSION, 2), (uint32_t)correlation_id, 4), UINT16_MAX, 2); /* Produce; no client id */
    at = put(put(put(put(at, UINT16_MAX, 2), (uint16_t)acks, 2), 1000, 4), 1, 4);                  /* no transaction; one topic */
    at = put(at, sizeof TOPIC - 1, 2);
    memcpy(at, TOPIC, sizeof TOPIC - 1);
    at = put(put(put(at + sizeof TOPIC - 1, 1, 4), (uint32_t)partition, 4), (uint64_t)batch.size_bytes, 4);
    memcpy(at + EL_BATCH_HEADER_BYTES, RECORD, sizeof RECORD);
    el_batch_seal(at, &batch);
    at += batch.size_bytes;
    put(length, (uint64_t)(at - length - 4), 4);
    return at;
}

static el_produce_slot *add_slot(el_appender *appender, int32_t partition) {
    el_produce_slot *slot = &loop.slots[el_produce_slot_of(TOPIC, sizeof TOPIC - 1, partition)];
    *slot = (el_produce_slot){.appender = appender, .topic = TOPIC, .topic_length = sizeof TOPIC - 1, .partition = partition,
                              .settings_version = el_head_settings_version(appender->head), .rules = ANY};
    return slot;
}

static void answer_until(const uint8_t *end, size_t capacity) {
    el_produce_answer_all(&loop, arrived, (size_t)(end - arrived), sizeof arrived, answers, capacity);
}

static void test_requests_that_arrived_together_are_answered_in_their_order(el_appender *appender) {
    int64_t end_offset = el_head_end_offset(appender->head);
    uint8_t *end = put_request(put_request(put_request(arrived, 7, 1, 0), 8, 0, 0), 9, -1, 0);
    answer_until(end, sizeof answers);
    CHECK(loop.request_count == 3 && loop.consumed == (size_t)(end - arrived));
    CHECK(loop.appended_count == 1 && loop.slots[loop.appended[0]].appender == appender);
    CHECK(el_head_end_offset(appender->head) == end_offset + 3);
    size_t first = 4 + el_load_32(answers); /* acks=0 has no answer */
    CHECK(el_load_32(answers + 4) == 7 && el_load_32(answers + first + 4) == 9);
    CHECK(loop.answer_bytes == first + 4 + el_load_32(answers + first));
}

static void test_a_partition_that_is_not_in_the_table_ends_the_call(el_appender *appender) {
    int64_t end_offset = el_head_end_offset(appender->head);
    uint8_t *first = put_request(arrived, 7, 1, 0);
    answer_until(put_request(put_request(first, 8, 1, 1), 9, 1, 0), sizeof answers);
    CHECK(loop.request_count == 1 && loop.consumed == (size_t)(first - arrived));
    CHECK(el_head_end_offset(appender->head) == end_offset + 1);
}

static void test_a_request_that_has_not_arrived_whole_waits(void) {
    uint8_t *first = put_request(arrived, 7, 1, 0), *second = put_request(first, 8, 1, 0);
    for (const uint8_t *end = first; end < second; end++) {
        answer_until(end, sizeof answers);
        CHECK(loop.request_count == 1 && loop.consumed == (size_t)(first - arrived));
        first = put_request(arrived, 7, 1, 0); /* the log has changed the batch where it is */
    }
}

static void test_an_answer_that_does_not_fit_is_not_begun(el_appender *appender) {
    int64_t end_offset = el_head_end_offset(appender->head);
    answer_until(put_request(put_request(arrived, 7, 1, 0), 8, 1, 0), ANSWER_BYTES);
    CHECK(loop.request_count == 1 && loop.answer_bytes <= ANSWER_BYTES);
    CHECK(el_head_end_offset(appender->head) == end_offset + 1);
}

static void test_a_batch_that_is_refused_is_left_to_the_caller(el_appender *appender) {
    int64_t end_offset = el_head_end_offset(appender->head);
    uint8_t *first = put_request(arrived, 7, 1, 0), *second = put_request(first, 8, 1, 0);
    second[-1] ^= 1; /* the checksum is wrong */
    answer_until(second, sizeof answers);
    CHECK(loop.request_count == 1 && el_head_end_offset(appender->head) == end_offset + 1);
    answer_until(put_request(arrived, 7, 2, 0), sizeof answers); /* there is no acks=2 */
    CHECK(loop.request_count == 0 && el_head_end_offset(appender->head) == end_offset + 1);
}

static void test_settings_that_have_changed_are_read_again_first(el_appender *appender) {
    int64_t end_offset = el_head_end_offset(appender->head);
    el_produce_slot *slot = add_slot(appender, 0);
    slot->settings_version++;
    answer_until(put_request(arrived, 7, 1, 0), sizeof answers);
    CHECK(loop.request_count == 0 && loop.consumed == 0 && el_head_end_offset(appender->head) == end_offset);
    add_slot(appender, 0);
}

int main(void) {
    log_in_memory log = new_log(new_signals());
    el_appender *appender = attach(&log, 0);
    el_new_record first = {.value = TOPIC, .value_length = sizeof TOPIC, .key_length = -1};
    CHECK(el_append_record(appender, &appender->encoding, &first, 1) == 0); /* only this one has to wait for disk space */
    add_slot(appender, 0);
    test_requests_that_arrived_together_are_answered_in_their_order(appender);
    test_a_partition_that_is_not_in_the_table_ends_the_call(appender);
    test_a_request_that_has_not_arrived_whole_waits();
    test_an_answer_that_does_not_fit_is_not_begun(appender);
    test_a_batch_that_is_refused_is_left_to_the_caller(appender);
    test_settings_that_have_changed_are_read_again_first(appender);
    el_appender_free(appender);
    return DONE();
}
