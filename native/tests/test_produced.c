/* Records of batches that somebody else has made: what el_batch_verify_records refuses, and timestamps and keys besides. */

#include <string.h>

#include "../codec/produced.h"
#include "../codec/varint.h"
#include "check.h"

static uint8_t section[4096];

/* A record with these deltas, and a key of `key_length` bytes; -1: none. */
static size_t put_record(uint8_t *at, int64_t timestamp_delta, int32_t offset_delta, int key_length, int header_count) {
    uint8_t body[256], *end = body;
    *end++ = 0;
    end = el_varint_write(end, timestamp_delta);
    end = el_varint_write(end, offset_delta);
    end = el_varint_write(end, key_length);
    for (int i = 0; i < key_length; i++)
        *end++ = 'k';
    end = el_varint_write(end, 1);
    *end++ = 'v';
    end = el_varint_write(end, header_count);
    for (int i = 0; i < header_count; i++)
        end += el_header_write(end, (const uint8_t *)"name", 4, NULL, -1);
    uint8_t *out = el_varint_write(at, end - body);
    memcpy(out, body, (size_t)(end - body));
    return (size_t)(out - at) + (size_t)(end - body);
}

static el_batch batch_of(int32_t count, int64_t base_timestamp) {
    return (el_batch){.record_count = count, .last_offset_delta = count - 1, .base_timestamp = base_timestamp};
}

static void test_right_records_and_the_largest_of_their_timestamps(void) {
    size_t length = put_record(section, 0, 0, 3, 0);
    length += put_record(section + length, 70, 1, -1, 2);
    length += put_record(section + length, -1001, 2, 0, 0);
    el_batch batch = batch_of(3, 1000);
    el_produced produced;
    CHECK(el_produced_verify(section, length, &batch, 0, &produced) == EL_CODEC_OK && produced.max_timestamp == 1070);
    CHECK(el_produced_verify(section, length, &batch, 1, &produced) == EL_PRODUCED_NO_KEY && produced.record_number == 1);
    CHECK(el_produced_verify(section, length - 1, &batch, 0, &produced) == EL_CODEC_BAD_RECORD && produced.record_number == 2);
    batch.record_count = 2;
    CHECK(el_produced_verify(section, length, &batch, 0, &produced) == EL_CODEC_BAD_COUNT);
    batch = batch_of(4, 1000);
    CHECK(el_produced_verify(section, length, &batch, 0, &produced) == EL_CODEC_BAD_RECORD && produced.record_number == 3);
}

static void test_offsets_that_do_not_rise_or_leave_the_batch(void) {
    static const int32_t deltas[][2] = {{0, 0}, {1, 0}, {0, 2}, {2, 1}};
    for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++) {
        size_t length = put_record(section, 0, deltas[i][0], 1, 0);
        length += put_record(section + length, 0, deltas[i][1], 1, 0);
        el_batch batch = batch_of(2, 0);
        el_produced produced;
        CHECK(el_produced_verify(section, length, &batch, 0, &produced) == EL_CODEC_BAD_OFFSET);
    }
}

static void test_timestamps_that_are_no_times(void) {
    static const struct {
        int64_t base, delta;
        int status;
    } cases[] = {
        {0, -1, EL_CODEC_OK}, /* none */
        {-1, 0, EL_CODEC_OK},
        {0, -2, EL_PRODUCED_BAD_TIMESTAMP},
        {INT64_MAX, 0, EL_CODEC_OK},
        {INT64_MAX, 1, EL_PRODUCED_BAD_TIMESTAMP},
        {1, INT64_MAX, EL_PRODUCED_BAD_TIMESTAMP},
        {INT64_MIN, INT64_MIN, EL_PRODUCED_BAD_TIMESTAMP},
        {INT64_MIN, INT64_MAX, EL_CODEC_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = put_record(section, cases[i].delta, 0, 1, 0);
        el_batch batch = batch_of(1, cases[i].base);
        el_produced produced;
        CHECK(el_produced_verify(section, length, &batch, 0, &produced) == cases[i].status);
    }
}

int main(void) {
    test_right_records_and_the_largest_of_their_timestamps();
    test_offsets_that_do_not_rise_or_leave_the_batch();
    test_timestamps_that_are_no_times();
    return DONE();
}
