/* A section of records under a header that says anything: two parsers agree on whether it is right, and on every field of it. */

#include "../store/reader.h"
#include "plain.h"

static plain_record expected[PLAIN_RECORDS_MAX];

static void check_headers(const el_record *record) {
    const uint8_t *at = record->headers, *end = at + record->headers_length;
    el_header header;
    for (int32_t i = 0; i < record->header_count; i++)
        CLAIM(el_header_next(&at, end, &header) == EL_CODEC_OK && header.key_length >= 0 && header.value_length >= -1);
    CLAIM(at == end);
}

/* Whatever the section is worth, record after record is found alike, and where one ends is known without decoding it. */
static void check_each(const uint8_t *section, size_t length) {
    plain_cursor plain = {.section = section, .end = (int64_t)length};
    const uint8_t *cursor = section, *skipped = section, *end = section + length;
    while (cursor < end) {
        el_record record;
        plain_record wanted = plain_next(&plain, 0);
        int status = el_record_next(&cursor, end, &record);
        CLAIM(plain.is_wrong ? status == EL_CODEC_BAD_RECORD : status == EL_CODEC_OK || wanted.header_count > 0 ||
                                                                   wanted.headers_start != wanted.end);
        if (status != EL_CODEC_OK)
            return;
        CLAIM(plain_is_same(section, &wanted, &record));
        CLAIM(record.header_count <= (int64_t)record.headers_length / 2); /* bounded before anybody allocates by it */
        CLAIM(el_record_skip(&skipped, end) == EL_CODEC_OK && skipped == cursor);
    }
}

/* A reader that holds the section hands out exactly its records. */
static void check_reader(const uint8_t *section, size_t length, const el_batch *batch) {
    el_reader *reader = el_reader_new(1);
    el_record record;
    el_reader_decode(reader, batch, section, length);
    for (int64_t i = 0; i < batch->record_count; i++) {
        CLAIM(el_reader_next(reader, INT64_MAX, &record) == 1);
        CLAIM(plain_is_same(section, &expected[i], &record));
        check_headers(&record);
    }
    CLAIM(el_reader_next(reader, INT64_MAX, &record) == 0);
    el_reader_free(reader);
}

/* What was read, written anew, is right, and its records are the same to the last byte. */
static void check_written_anew(const uint8_t *section, size_t length, const el_batch *batch) {
    size_t capacity = EL_BATCH_HEADER_BYTES + length + 1;
    uint8_t *data = malloc(capacity);
    el_batch_writer writer;
    el_batch_begin(&writer, data, capacity);
    const uint8_t *cursor = section;
    el_record record;
    for (int64_t i = 0; i < batch->record_count; i++) {
        CLAIM(el_record_next(&cursor, section + length, &record) == EL_CODEC_OK);
        int64_t timestamp = record.timestamp_delta & INT64_MAX; /* times before 1970 are refused before they come here */
        if (el_batch_add(&writer, timestamp, record.key, record.key_length, record.value, record.value_length, record.headers,
                         record.headers_length, record.header_count) != EL_CODEC_OK)
            break; /* longer, because of another base of the timestamps */
    }
    int64_t added = writer.record_count;
    size_t size = el_batch_finish(&writer, 0);
    el_batch again;
    CLAIM(size <= capacity);
    CLAIM(added == 0 || (el_batch_parse(data, size, &again) == EL_CODEC_OK && el_batch_verify(data, &again) == EL_CODEC_OK));
    const uint8_t *at = data + EL_BATCH_HEADER_BYTES;
    for (int64_t i = 0; i < added; i++) {
        CLAIM(el_record_next(&at, data + size, &record) == EL_CODEC_OK && record.offset_delta == i);
        CLAIM(again.base_timestamp + record.timestamp_delta == (expected[i].timestamp_delta & INT64_MAX));
        CLAIM(record.key_length == expected[i].key.length && record.value_length == expected[i].value.length);
        CLAIM(record.key_length <= 0 || memcmp(record.key, section + expected[i].key.start, (size_t)record.key_length) == 0);
        CLAIM(record.value_length <= 0 || memcmp(record.value, section + expected[i].value.start, (size_t)record.value_length) == 0);
        check_headers(&record);
    }
    CLAIM(at == data + size);
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    el_batch batch = {.record_count = take_byte(&data, &size), .base_offset = take_byte(&data, &size) % 2 ? INT64_MAX - 256 : 0};
    batch.last_offset_delta = take_byte(&data, &size);
    uint8_t *section = exact_copy(data, size);
    check_each(section, size);
    int64_t count = plain_parse(section, size, &batch, expected);
    CLAIM((count >= 0) == (el_batch_verify_records(section, size, &batch) == EL_CODEC_OK));
    if (count >= 0 && batch.base_offset + batch.last_offset_delta < INT64_MAX) {
        check_reader(section, size, &batch);
        check_written_anew(section, size, &batch);
    }
    free(section);
    return 0;
}
