/* A second, slow parser of a section of records, written from the protocol guide (https://kafka.apache.org/documentation/#record)
 * and sharing no code with the codec: what the fuzz targets compare it with. Places are indexes into the section. */

#ifndef EVENTLOG_FUZZ_PLAIN_H
#define EVENTLOG_FUZZ_PLAIN_H

#include "fuzz.h"

#define PLAIN_RECORDS_MAX 4096

typedef struct plain_bytes {
    int64_t start;
    int64_t length; /* -1: null */
} plain_bytes;

typedef struct plain_record {
    int64_t start;
    int64_t end;
    int64_t timestamp_delta;
    int64_t offset_delta;
    plain_bytes key;
    plain_bytes value;
    int64_t headers_start;
    int64_t header_count;
} plain_record;

/* Where the parser is, and up to where it may read; `is_wrong` once something did not fit. */
typedef struct plain_cursor {
    const uint8_t *section;
    int64_t at;
    int64_t end;
    int is_wrong;
} plain_cursor;

static inline int64_t plain_number(plain_cursor *cursor, int bytes_max) {
    unsigned __int128 bits = 0;
    for (int i = 0; i < bytes_max && cursor->at < cursor->end; i++) {
        uint8_t byte = cursor->section[cursor->at++];
        bits |= (unsigned __int128)(byte % 128) << (7 * i);
        if (byte < 128) {
            uint64_t number = (uint64_t)bits;
            return number % 2 ? -(int64_t)(number / 2) - 1 : (int64_t)(number / 2);
        }
    }
    cursor->is_wrong = 1;
    return 0;
}

static inline plain_bytes plain_take(plain_cursor *cursor) {
    plain_bytes bytes = {.length = plain_number(cursor, 5)};
    bytes.start = cursor->at;
    if (cursor->is_wrong || bytes.length < -1 || bytes.length > cursor->end - cursor->at)
        cursor->is_wrong = 1;
    else if (bytes.length > 0)
        cursor->at += bytes.length;
    return bytes;
}

/* The record at the cursor, its headers passed over. Without `looks_into_headers` only their count is looked at. */
static inline plain_record plain_next(plain_cursor *cursor, int looks_into_headers) {
    plain_record record = {.start = cursor->at};
    int64_t length = plain_number(cursor, 5), section_end = cursor->end;
    if (cursor->is_wrong || length < 1 || length > section_end - cursor->at) {
        cursor->is_wrong = 1;
        return record;
    }
    record.end = cursor->end = cursor->at + length;
    cursor->at += 1; /* attributes */
    record.timestamp_delta = plain_number(cursor, 10);
    record.offset_delta = plain_number(cursor, 5);
    record.key = plain_take(cursor);
    record.value = plain_take(cursor);
    record.header_count = plain_number(cursor, 5);
    record.headers_start = cursor->at;
    if (record.offset_delta < 0 || record.offset_delta > INT32_MAX || record.header_count < 0)
        cursor->is_wrong = 1;
    for (int64_t i = 0; looks_into_headers && i < record.header_count && !cursor->is_wrong; i++) {
        cursor->is_wrong |= plain_take(cursor).length < 0;
        plain_take(cursor);
    }
    if (looks_into_headers && cursor->at != cursor->end)
        cursor->is_wrong = 1;
    cursor->at = record.end;
    cursor->end = section_end;
    return record;
}

/* All records of a section that is right, at most PLAIN_RECORDS_MAX: their number, or -1 where the section is wrong. */
static inline int64_t plain_parse(const uint8_t *section, size_t length, const el_batch *batch, plain_record *records) {
    plain_cursor cursor = {.section = section, .end = (int64_t)length};
    int64_t previous = -1;
    for (int64_t i = 0; i < batch->record_count; i++) {
        plain_record record = plain_next(&cursor, 1);
        if (cursor.is_wrong || record.offset_delta <= previous || record.offset_delta > batch->last_offset_delta)
            return -1;
        previous = record.offset_delta;
        CLAIM(i < PLAIN_RECORDS_MAX);
        records[i] = record;
    }
    return cursor.at == cursor.end ? batch->record_count : -1;
}

static inline int plain_equals(const uint8_t *section, plain_bytes expected, const uint8_t *bytes, int64_t length) {
    return expected.length == length && (length < 0 ? bytes == NULL : bytes == section + expected.start);
}

/* Is this what the codec has found, to the place of each field? */
static inline int plain_is_same(const uint8_t *section, const plain_record *expected, const el_record *record) {
    return expected->timestamp_delta == record->timestamp_delta && expected->offset_delta == record->offset_delta &&
           plain_equals(section, expected->key, record->key, record->key_length) &&
           plain_equals(section, expected->value, record->value, record->value_length) &&
           expected->header_count == record->header_count && section + expected->headers_start == record->headers &&
           section + expected->end == record->headers + record->headers_length;
}

#endif
