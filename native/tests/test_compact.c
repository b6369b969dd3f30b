/* Log compaction in memory: what stays, what goes, and what a tombstone waits for. */

#include <stdlib.h>
#include <string.h>

#include "../codec/compact.h"
#include "../codec/siphash.h"
#include "check.h"

#define CAPACITY 64

static uint8_t log_bytes[8192], out_bytes[3 * 8192];
static el_key_offset places[CAPACITY];

/* Write a batch of (key, value) pairs at `at`; a NULL value is a tombstone, a NULL key is no key. */
static size_t put_batch(uint8_t *at, int64_t base_offset, int64_t timestamp, const char *const *pairs, int count) {
    el_batch_writer writer;
    el_batch_begin(&writer, at, 4096);
    for (int i = 0; i < count; i++) {
        const char *key = pairs[2 * i], *value = pairs[2 * i + 1];
        el_batch_add(&writer, timestamp + i, (const uint8_t *)key, key ? (int64_t)strlen(key) : -1, (const uint8_t *)value,
                     value ? (int64_t)strlen(value) : -1, NULL, 0, 0);
    }
    size_t length = el_batch_finish(&writer, 0);
    el_batch_place(at, base_offset, 0);
    return length;
}

static el_offset_map new_map(uint64_t capacity) {
    memset(places, 0, sizeof places);
    return (el_offset_map){.entries = places, .capacity = capacity, .secret = {1, 2}};
}

static void test_the_hash_is_siphash(void) {
    /* The first two vectors of the reference implementation: key 00..0f, messages of 0 and 1 bytes. */
    const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    const uint8_t empty[16] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
    const uint8_t zero[16] = {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45};
    uint64_t hash[2];
    el_siphash_128(key, (const uint8_t *)"", 0, hash);
    CHECK(memcmp(hash, empty, 16) == 0);
    el_siphash_128(key, (const uint8_t *)"\0", 1, hash);
    CHECK(memcmp(hash, zero, 16) == 0);
}

static void test_the_latest_value_of_each_key_stays_at_its_offset(void) {
    const char *first[] = {"a", "1", "b", "1", NULL, "unkeyed"}, *second[] = {"a", "2"};
    size_t length = put_batch(log_bytes, 10, 1000, first, 3);
    length += put_batch(log_bytes + length, 13, 2000, second, 1);
    el_offset_map map = new_map(CAPACITY);
    size_t consumed, produced;
    CHECK(el_offset_map_note_batches(&map, log_bytes, length, &consumed) == EL_CODEC_OK);
    CHECK(consumed == length && map.end_offset == 14);
    el_compaction compaction = {.map = &map, .now = 5000, .new_horizon = 9000};
    CHECK(el_compact_batches(&compaction, log_bytes, length, out_bytes, &consumed, &produced) == EL_CODEC_OK);
    CHECK(consumed == length && compaction.records_in == 4 && compaction.records_out == 3);

    el_batch batch;
    CHECK(el_batch_parse(out_bytes, produced, &batch) == EL_CODEC_OK && el_batch_verify(out_bytes, &batch) == EL_CODEC_OK);
    CHECK(batch.base_offset == 10 && batch.last_offset_delta == 2 && batch.record_count == 2);
    const uint8_t *cursor = out_bytes + EL_BATCH_HEADER_BYTES, *end = out_bytes + batch.size_bytes;
    el_record record;
    CHECK(el_record_next(&cursor, end, &record) == EL_CODEC_OK);
    CHECK(record.offset_delta == 1 && record.key_length == 1 && record.key[0] == 'b');
    CHECK(el_record_next(&cursor, end, &record) == EL_CODEC_OK);
    CHECK(record.offset_delta == 2 && record.key_length == -1 && record.value_length == 7);
    CHECK(batch.max_timestamp == 1002);
    CHECK(el_batch_parse(end, produced - (size_t)batch.size_bytes, &batch) == EL_CODEC_OK && batch.base_offset == 13);
}

static void test_a_tombstone_stays_until_its_horizon(void) {
    const char *pairs[] = {"a", "1", "a", NULL};
    size_t length = put_batch(log_bytes, 0, 1000, pairs, 2), consumed, produced;
    el_offset_map map = new_map(CAPACITY);
    el_offset_map_note_batches(&map, log_bytes, length, &consumed);
    el_compaction compaction = {.map = &map, .now = 5000, .new_horizon = 9000};
    el_compact_batches(&compaction, log_bytes, length, out_bytes, &consumed, &produced);
    el_batch batch;
    CHECK(el_batch_parse(out_bytes, produced, &batch) == EL_CODEC_OK && el_batch_verify(out_bytes, &batch) == EL_CODEC_OK);
    CHECK((batch.attributes & EL_ATTRIBUTE_DELETE_HORIZON) != 0 && batch.base_timestamp == 9000 && batch.record_count == 1);
    const uint8_t *cursor = out_bytes + EL_BATCH_HEADER_BYTES;
    el_record record;
    CHECK(el_record_next(&cursor, out_bytes + batch.size_bytes, &record) == EL_CODEC_OK);
    CHECK(batch.base_timestamp + record.timestamp_delta == 1001 && record.value_length == -1);

    memcpy(log_bytes, out_bytes, produced);
    length = produced;
    map = new_map(CAPACITY);
    compaction = (el_compaction){.map = &map, .now = 8999, .new_horizon = 9000};
    el_compact_batches(&compaction, log_bytes, length, out_bytes, &consumed, &produced);
    CHECK(produced == length && memcmp(log_bytes, out_bytes, length) == 0);
    compaction = (el_compaction){.map = &map, .now = 9000, .new_horizon = 9000};
    el_compact_batches(&compaction, log_bytes, length, out_bytes, &consumed, &produced);
    CHECK(consumed == length && produced == 0);
}

static void test_a_full_map_stops_between_records_and_goes_on_there(void) {
    const char *pairs[] = {"a", "1", "b", "1", "c", "1", "d", "1", "e", "1", "f", "1", "g", "1", "h", "1", "a", "2"};
    size_t length = put_batch(log_bytes, 0, 1000, pairs, 9), consumed, produced;
    el_offset_map map = new_map(8);
    CHECK(el_offset_map_note_batches(&map, log_bytes, length, &consumed) == EL_COMPACT_FULL);
    CHECK(consumed == 0 && map.end_offset == 7);
    el_compaction compaction = {.map = &map, .now = 5000, .new_horizon = 9000};
    el_compact_batches(&compaction, log_bytes, length, out_bytes, &consumed, &produced);
    CHECK(compaction.records_out == 9); /* the later "a" is not known yet */
    map = new_map(8);
    map.first_offset = 7;
    CHECK(el_offset_map_note_batches(&map, log_bytes, length, &consumed) == EL_CODEC_OK);
    CHECK(map.end_offset == 9);
    compaction = (el_compaction){.map = &map, .now = 5000, .new_horizon = 9000};
    el_compact_batches(&compaction, log_bytes, length, out_bytes, &consumed, &produced);
    CHECK(compaction.records_out == 8);
}

static void test_a_wrong_byte_stops_it(void) {
    const char *pairs[] = {"a", "1", "a", "2"};
    size_t length = put_batch(log_bytes, 0, 1000, pairs, 2), consumed, produced;
    log_bytes[length - 3] ^= 1;
    el_offset_map map = new_map(CAPACITY);
    el_compaction compaction = {.map = &map};
    CHECK(el_offset_map_note_batches(&map, log_bytes, length, &consumed) == EL_CODEC_BAD_CHECKSUM && consumed == 0);
    CHECK(el_compact_batches(&compaction, log_bytes, length, out_bytes, &consumed, &produced) == EL_CODEC_BAD_CHECKSUM);
    CHECK(consumed == 0 && produced == 0);
}

static void test_a_batch_that_begins_before_the_last_one_ends_stops_it(void) {
    const char *pairs[] = {"a", "1", "a", "2"};
    size_t first = put_batch(log_bytes, 10, 1000, pairs, 2), consumed, produced;
    size_t length = first + put_batch(log_bytes + first, 11, 2000, pairs, 2);
    el_offset_map map = new_map(CAPACITY);
    el_compaction compaction = {.map = &map};
    CHECK(el_offset_map_note_batches(&map, log_bytes, length, &consumed) == EL_CODEC_BAD_OFFSET && consumed == first);
    CHECK(el_compact_batches(&compaction, log_bytes, length, out_bytes, &consumed, &produced) == EL_CODEC_BAD_OFFSET);
    CHECK(consumed == first);
}

static void test_a_batch_with_an_attribute_that_is_not_known_stays_as_it_is(void) {
    const char *first[] = {"a", "1"}, *second[] = {"a", "2"};
    size_t strange = put_batch(log_bytes, 0, 1000, first, 1);
    el_batch batch;
    CHECK(el_batch_parse(log_bytes, strange, &batch) == EL_CODEC_OK);
    batch.attributes = 0x80;
    el_batch_seal(log_bytes, &batch);
    size_t length = strange + put_batch(log_bytes + strange, 1, 2000, second, 1), consumed, produced;
    el_offset_map map = new_map(CAPACITY);
    CHECK(el_offset_map_note_batches(&map, log_bytes, length, &consumed) == EL_CODEC_OK && map.end_offset == 2);
    el_compaction compaction = {.map = &map, .now = 5000, .new_horizon = 9000};
    CHECK(el_compact_batches(&compaction, log_bytes, length, out_bytes, &consumed, &produced) == EL_CODEC_OK);
    CHECK(produced == length && memcmp(out_bytes, log_bytes, length) == 0);
}

int main(void) {
    test_a_batch_with_an_attribute_that_is_not_known_stays_as_it_is();
    test_a_batch_that_begins_before_the_last_one_ends_stops_it();
    test_the_hash_is_siphash();
    test_the_latest_value_of_each_key_stays_at_its_offset();
    test_a_tombstone_stays_until_its_horizon();
    test_a_full_map_stops_between_records_and_goes_on_there();
    test_a_wrong_byte_stops_it();
    return DONE();
}
