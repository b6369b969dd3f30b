/* RecordBatch v2: what is written is read, and no bytes whatever make the parser read beyond them or return a wrong record.
 *
 * Every input stands in a block of exactly its size, so that the address sanitizer sees a read beyond its end. */

#include <string.h>

#include "../codec/batch.h"
#include "check.h"

#define RECORDS 5

typedef struct sample {
    int64_t timestamp;
    const char *key;
    const char *value;
    int has_header;
} sample;

static const sample samples[RECORDS] = {
    {1000, "key", "value", 0}, {999, NULL, "value", 1}, {5000, "key", NULL, 0}, {1000, "", "", 1}, {0, NULL, NULL, 0},
};

static int64_t length_of(const char *text) {
    return text == NULL ? -1 : (int64_t)strlen(text);
}

static uint8_t *encode(int64_t base_offset, size_t *size) {
    uint8_t buffer[1024], headers[64];
    el_batch_writer writer;
    el_batch_begin(&writer, buffer, sizeof buffer);
    size_t headers_length = el_header_write(headers, (const uint8_t *)"name", 4, NULL, -1);
    CHECK(headers_length == el_header_size(4, -1));
    for (int i = 0; i < RECORDS; i++) {
        const sample *one = &samples[i];
        CHECK(el_batch_add(&writer, one->timestamp, (const uint8_t *)one->key, length_of(one->key),
                           (const uint8_t *)one->value, length_of(one->value), headers,
                           one->has_header ? headers_length : 0, one->has_header) == EL_CODEC_OK);
    }
    *size = el_batch_finish(&writer, 0);
    el_batch_place(buffer, base_offset, 7);
    uint8_t *exact = malloc(*size);
    memcpy(exact, buffer, *size);
    return exact;
}

static int is_text(const uint8_t *data, int32_t length, const char *text) {
    return text == NULL ? data == NULL && length == -1
                        : data != NULL && length == length_of(text) && memcmp(data, text, (size_t)length) == 0;
}

static void check_records(const uint8_t *data, const el_batch *batch) {
    const uint8_t *cursor = data + EL_BATCH_HEADER_BYTES, *end = data + batch->size_bytes;
    for (int i = 0; i < RECORDS; i++) {
        el_record record;
        CHECK(el_record_next(&cursor, end, &record) == EL_CODEC_OK);
        CHECK(record.offset_delta == i);
        CHECK(batch->base_timestamp + record.timestamp_delta == samples[i].timestamp);
        CHECK(is_text(record.key, record.key_length, samples[i].key));
        CHECK(is_text(record.value, record.value_length, samples[i].value));
        CHECK(record.header_count == samples[i].has_header);
        if (record.header_count > 0) {
            const uint8_t *at = record.headers;
            el_header header;
            CHECK(el_header_next(&at, record.headers + record.headers_length, &header) == EL_CODEC_OK);
            CHECK(is_text(header.key, header.key_length, "name") && is_text(header.value, header.value_length, NULL));
        }
    }
    CHECK(cursor == end);
}

static void test_what_is_written_is_read(void) {
    size_t size;
    uint8_t *data = encode(42, &size);
    el_batch batch;
    CHECK(el_batch_parse(data, size, &batch) == EL_CODEC_OK);
    CHECK((size_t)batch.size_bytes == size && batch.base_offset == 42 && batch.leader_epoch == 7);
    CHECK(batch.record_count == RECORDS && batch.last_offset_delta == RECORDS - 1);
    CHECK(batch.base_timestamp == 1000 && batch.max_timestamp == 5000);
    CHECK(batch.producer_id == -1 && batch.producer_epoch == -1 && batch.base_sequence == -1 && batch.attributes == 0);
    CHECK(el_batch_verify(data, &batch) == EL_CODEC_OK);
    CHECK(el_batch_verify_records(data + EL_BATCH_HEADER_BYTES, size - EL_BATCH_HEADER_BYTES, &batch) == EL_CODEC_OK);
    check_records(data, &batch);
    free(data);
}

/* The batch of one record, value "a" at time 0, worked out by hand from Kafka's protocol guide; but for the checksum. */
static void test_the_bytes_are_those_of_the_protocol_guide(void) {
    static const uint8_t expected[] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 57, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* timestamps */
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1,
        14, 0, 0, 0, 1, 2, 'a', 0,
    };
    uint8_t buffer[256];
    el_batch_writer writer;
    el_batch_begin(&writer, buffer, sizeof buffer);
    CHECK(el_batch_add(&writer, 0, NULL, -1, (const uint8_t *)"a", 1, NULL, 0, 0) == EL_CODEC_OK);
    CHECK(el_batch_finish(&writer, 0) == sizeof expected);
    memset(buffer + 17, 0, 4);
    CHECK(memcmp(buffer, expected, sizeof expected) == 0);
}

static void test_every_cut_is_incomplete(void) {
    size_t size;
    uint8_t *data = encode(0, &size);
    for (size_t length = 0; length < size; length++) {
        uint8_t *cut = malloc(length + (length == 0));
        memcpy(cut, data, length);
        el_batch batch;
        CHECK(el_batch_parse(cut, length, &batch) == EL_CODEC_INCOMPLETE);
        CHECK(batch.size_bytes == (length < EL_BATCH_HEADER_BYTES ? 0 : (int64_t)size));
        CHECK(el_find_batch(cut, length, 0) == -1);
        free(cut);
    }
    free(data);
}

static void test_every_flipped_bit_is_noticed(void) {
    size_t size;
    uint8_t *data = encode(3, &size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int is_outside_the_checksum = bit / 8 >= 12 && bit / 8 < 16; /* the leader epoch */
        el_scan scan;
        el_scan_begin(&scan, 3);
        int status = el_scan_batches(data, size, &scan);
        CHECK((status == EL_CODEC_OK) == is_outside_the_checksum);
        CHECK(scan.batch_count == is_outside_the_checksum);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(data);
}

/* With a right checksum over wrong bytes, lengths and counts are all that stands between the parser and the wild. */
static void test_hostile_records_are_refused(void) {
    uint32_t state = 12345;
    for (int round = 0; round < 20000; round++) {
        size_t size;
        uint8_t *data = encode(0, &size);
        int changes = 1 + (int)((state >> 8) % 4);
        for (int i = 0; i < changes; i++) {
            state = state * 1664525 + 1013904223;
            data[EL_BATCH_HEADER_BYTES + (state >> 8) % (size - EL_BATCH_HEADER_BYTES)] = (uint8_t)(state >> 24);
        }
        el_batch batch;
        CHECK(el_batch_parse(data, size, &batch) == EL_CODEC_OK);
        int status = el_batch_verify_records(data + EL_BATCH_HEADER_BYTES, size - EL_BATCH_HEADER_BYTES, &batch);
        const uint8_t *cursor = data + EL_BATCH_HEADER_BYTES, *end = data + size;
        el_record record;
        int count = 0;
        while (cursor < end && el_record_next(&cursor, end, &record) == EL_CODEC_OK) {
            CHECK(cursor <= end);
            CHECK(record.value_length <= (int64_t)size && record.key_length <= (int64_t)size);
            const uint8_t *at = record.headers;
            el_header header;
            for (int i = 0; i < record.header_count && at < record.headers + record.headers_length; i++)
                if (el_header_next(&at, record.headers + record.headers_length, &header) != EL_CODEC_OK)
                    break;
            count++;
        }
        CHECK(status != EL_CODEC_OK || count == RECORDS);
        free(data);
    }
}

static void test_a_scan_ends_at_the_last_right_batch(void) {
    size_t size;
    uint8_t *first = encode(0, &size), *second = encode(RECORDS, &size), *gap = encode(2 * RECORDS + 1, &size);
    uint8_t *run = malloc(3 * size);
    memcpy(run, first, size);
    memcpy(run + size, second, size);
    memcpy(run + 2 * size, gap, size);
    el_scan scan;
    el_scan_begin(&scan, 0);
    CHECK(el_scan_batches(run, 2 * size, &scan) == EL_CODEC_OK);
    CHECK(scan.batch_count == 2 && scan.record_count == 2 * RECORDS && scan.next_offset == 2 * RECORDS);
    CHECK(scan.max_timestamp == 5000 && scan.max_timestamp_offset == RECORDS - 1);
    el_scan_begin(&scan, 0);
    CHECK(el_scan_batches(run, 3 * size, &scan) == EL_CODEC_BAD_OFFSET); /* an offset is missing */
    CHECK(scan.valid_bytes == (int64_t)(2 * size));
    memset(run + size, 0, size);
    el_scan_begin(&scan, 0);
    CHECK(el_scan_batches(run, 3 * size, &scan) == EL_CODEC_ZEROS);
    CHECK(scan.valid_bytes == (int64_t)size);
    CHECK(el_find_batch(run + size, 2 * size, RECORDS) == (int64_t)size);
    CHECK(el_find_batch(run + size, size, RECORDS) == -1);
    free(first);
    free(second);
    free(gap);
    free(run);
}

int main(void) {
    test_what_is_written_is_read();
    test_the_bytes_are_those_of_the_protocol_guide();
    test_every_cut_is_incomplete();
    test_every_flipped_bit_is_noticed();
    test_hostile_records_are_refused();
    test_a_scan_ends_at_the_last_right_batch();
    return DONE();
}
