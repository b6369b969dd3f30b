/* Batches that somebody else has made: their headers, records, timestamps and keys. */

#include <string.h>

#include "../codec/produced.h"
#include "../codec/varint.h"
#include "check.h"

static uint8_t section[2048], batches[4096];

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

/* A batch whose header says so much; the records are put behind it. */
static el_batch batch_of(int32_t count, int64_t base_timestamp) {
    return (el_batch){.record_count = count, .last_offset_delta = count - 1, .base_timestamp = base_timestamp, .producer_id = -1};
}

static const el_produced_rules ANY = {.batch_bytes_max = sizeof batches, .codec = -1};
static const el_produced_rules KEYED = {.batch_bytes_max = sizeof batches, .codec = -1, .needs_keys = 1};

/* Accept one batch with this header and these records. */
static int accept(const el_batch *header, size_t records_length, const el_produced_rules *rules, el_produced *produced) {
    el_batch batch = *header;
    batch.size_bytes = EL_BATCH_HEADER_BYTES + (int64_t)records_length;
    memcpy(batches + EL_BATCH_HEADER_BYTES, section, records_length);
    el_batch_seal(batches, &batch);
    *produced = (el_produced){.append_time_ms = 5000};
    return el_produced_accept(batches, (size_t)batch.size_bytes, rules, produced);
}

static void test_right_records_and_the_largest_of_their_timestamps(void) {
    size_t length = put_record(section, 0, 0, 3, 0);
    length += put_record(section + length, 70, 1, -1, 2);
    length += put_record(section + length, -1001, 2, 0, 0);
    el_batch batch = batch_of(3, 1000), stored;
    el_produced produced;
    CHECK(accept(&batch, length, &ANY, &produced) == EL_CODEC_OK && produced.record_count == 3);
    CHECK(el_batch_parse(batches, sizeof batches, &stored) == EL_CODEC_OK && stored.max_timestamp == 1070);
    CHECK(el_batch_verify(batches, &stored) == EL_CODEC_OK && stored.size_bytes == produced.position);
    CHECK(accept(&batch, length, &KEYED, &produced) == EL_PRODUCED_NO_KEY && produced.record_number == 1);
    int32_t numbers[2];
    CHECK(el_produced_list_keyless(section, length, numbers, 2) == 1 && numbers[0] == 1);
    CHECK(el_produced_list_keyless(section, length, numbers, 0) == 0);
    CHECK(accept(&batch, length - 1, &ANY, &produced) == EL_PRODUCED_BAD_RECORD && produced.record_number == 2);
    batch = batch_of(2, 1000);
    CHECK(accept(&batch, length, &ANY, &produced) == EL_PRODUCED_EXCESS);
    batch = batch_of(4, 1000);
    CHECK(accept(&batch, length, &ANY, &produced) == EL_PRODUCED_BAD_RECORD && produced.record_number == 3);
}

static void test_the_time_of_the_append(void) {
    const el_produced_rules stamped = {.batch_bytes_max = sizeof batches, .codec = -1, .has_append_time = 1};
    size_t length = put_record(section, 0, 0, 3, 0);
    el_batch batch = batch_of(1, 1000), stored;
    el_produced produced;
    for (int round = 0; round < 2; round++) { /* the second time it says so already */
        CHECK(accept(&batch, length, &stamped, &produced) == EL_CODEC_OK);
        CHECK(el_batch_parse(batches, sizeof batches, &stored) == EL_CODEC_OK && el_batch_verify(batches, &stored) == EL_CODEC_OK);
        CHECK(stored.max_timestamp == 5000 && stored.attributes == EL_ATTRIBUTE_LOG_APPEND_TIME);
        CHECK(accept(&stored, length, &ANY, &produced) == EL_PRODUCED_BAD_TIMESTAMP_TYPE);
        batch = stored;
    }
}

static void test_headers_that_no_producer_sends(void) {
    static const struct {
        el_batch batch;
        int status;
    } cases[] = {
        {{.record_count = 0, .producer_id = -1}, EL_PRODUCED_EMPTY},
        {{.record_count = 1, .last_offset_delta = 1, .producer_id = -1}, EL_PRODUCED_BAD_COUNT},
        {{.record_count = 1, .last_offset_delta = INT32_MAX, .producer_id = -1}, EL_PRODUCED_BAD_COUNT},
        {{.record_count = 1, .producer_id = -1, .attributes = 0x40}, EL_PRODUCED_BAD_ATTRIBUTES},
        {{.record_count = 1, .producer_id = -1, .attributes = INT16_MIN}, EL_PRODUCED_BAD_ATTRIBUTES},
        {{.record_count = 1, .producer_id = -1, .attributes = EL_ATTRIBUTE_CONTROL}, EL_PRODUCED_CONTROL},
        {{.record_count = 1, .producer_id = -1, .attributes = EL_ATTRIBUTE_TRANSACTIONAL}, EL_PRODUCED_TRANSACTIONAL},
        {{.record_count = 1, .producer_id = -2}, EL_PRODUCED_BAD_PRODUCER},
        {{.record_count = 1, .producer_id = 1, .producer_epoch = -1}, EL_PRODUCED_BAD_PRODUCER},
        {{.record_count = 1, .producer_id = 1, .base_sequence = -1}, EL_PRODUCED_BAD_PRODUCER},
        {{.record_count = 1, .producer_id = -1, .attributes = 1}, EL_PRODUCED_OTHER_CODEC},
    };
    size_t length = put_record(section, 0, 0, 1, 0);
    el_produced produced;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(accept(&cases[i].batch, length, &ANY, &produced) == cases[i].status && produced.position == 0);
    el_batch batch = batch_of(1, 0);
    const el_produced_rules small = {.batch_bytes_max = 61, .codec = -1}, compressed = {.batch_bytes_max = 4096, .codec = 2};
    CHECK(accept(&batch, length, &small, &produced) == EL_PRODUCED_TOO_LARGE);
    CHECK(accept(&batch, length, &compressed, &produced) == EL_PRODUCED_OTHER_CODEC);
    CHECK(el_produced_accept_records(batches, section, length, &compressed, &produced) == EL_CODEC_OK && produced.record_count == 1);
    CHECK(el_produced_accept(batches, (size_t)produced.position, &compressed, &produced) == EL_CODEC_OK); /* nothing follows */
}

static void test_several_batches_and_what_is_no_batch(void) {
    size_t length = put_record(section, 0, 0, 1, 0);
    el_batch batch = batch_of(1, 0);
    el_produced produced;
    CHECK(accept(&batch, length, &ANY, &produced) == EL_CODEC_OK);
    size_t size = (size_t)produced.position;
    memcpy(batches + size, batches, size);
    for (size_t available = 0; available <= 2 * size; available++) {
        produced = (el_produced){0};
        int is_whole = available == size || available == 2 * size;
        CHECK(el_produced_accept(batches, available, &ANY, &produced) == (is_whole ? EL_CODEC_OK : EL_CODEC_INCOMPLETE));
        CHECK(produced.position == (int64_t)(available / size * size) && produced.record_count == (int64_t)(available / size));
    }
    batches[2 * size - 1] ^= 1;
    produced = (el_produced){0};
    CHECK(el_produced_accept(batches, 2 * size, &ANY, &produced) == EL_CODEC_BAD_CHECKSUM && produced.position == (int64_t)size);
}

static void test_offsets_that_do_not_rise_or_leave_the_batch(void) {
    static const int32_t deltas[][2] = {{0, 0}, {1, 0}, {0, 2}, {2, 1}};
    for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++) {
        size_t length = put_record(section, 0, deltas[i][0], 1, 0);
        length += put_record(section + length, 0, deltas[i][1], 1, 0);
        el_batch batch = batch_of(2, 0);
        el_produced produced;
        CHECK(accept(&batch, length, &ANY, &produced) == EL_PRODUCED_BAD_DELTA);
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
        CHECK(accept(&batch, length, &ANY, &produced) == cases[i].status);
    }
}

int main(void) {
    test_right_records_and_the_largest_of_their_timestamps();
    test_the_time_of_the_append();
    test_headers_that_no_producer_sends();
    test_several_batches_and_what_is_no_batch();
    test_offsets_that_do_not_rise_or_leave_the_batch();
    test_timestamps_that_are_no_times();
    return DONE();
}
