#include "columns.h"

#include <string.h>

static void measure(el_bytes_column *column, int32_t length) {
    if (length < 0)
        column->null_count++;
    else
        column->data_bytes += length;
}

/* 0 if the headers are malformed. */
static int measure_headers(el_header_columns *headers, const el_record *record) {
    const uint8_t *at = record->headers, *end = at + record->headers_length;
    el_header header;
    if (el_record_verify_headers(record) != EL_CODEC_OK)
        return 0;
    for (int32_t i = 0; i < record->header_count; i++) {
        el_header_next(&at, end, &header);
        measure(&headers->names, header.key_length);
        measure(&headers->values, header.value_length);
    }
    headers->count += record->header_count;
    return 1;
}

static inline int is_left_out(const el_columns *columns, int64_t timestamp) {
    return timestamp < columns->since || timestamp >= columns->until;
}

__attribute__((flatten)) void el_columns_measure(const el_reader *reader, int64_t max_records, int64_t stop_offset,
                                                 el_columns *columns) {
    el_reader ahead = *reader; /* decoding changes no more than the structure itself */
    el_record record;
    *columns = (el_columns){.since = columns->since, .until = columns->until, .has_headers = columns->has_headers};
    while (columns->count < max_records && el_reader_next(&ahead, stop_offset, &record) == 1) {
        if (!is_left_out(columns, el_reader_timestamp(&ahead, &record))) {
            if (columns->has_headers && record.header_count > 0 && !measure_headers(&columns->headers, &record))
                return;
            columns->count++;
            measure(&columns->keys, record.key_length);
            measure(&columns->values, record.value_length);
        }
        columns->passed++;
    }
}

static void begin(el_bytes_column *column, int64_t count) {
    column->ends[0] = 0;
    if (column->validity != NULL)
        memset(column->validity, 0, (size_t)(count + 7) / 8);
}

static inline void put(el_bytes_column *column, int64_t at, const uint8_t *bytes, int32_t length) {
    int64_t end = column->ends[at];
    if (length >= 0) {
        memcpy(column->data + end, bytes, (size_t)length);
        if (column->validity != NULL)
            column->validity[at / 8] |= (uint8_t)(1 << at % 8);
        end += length;
    }
    column->ends[at + 1] = end;
}

/* The bytes of the character at the beginning of this text; 0 if it is not UTF-8 (https://www.rfc-editor.org/rfc/rfc3629, section 4). */
static int64_t character_bytes(const uint8_t *text, int64_t length) {
    uint8_t first = text[0];
    if (first < 0x80)
        return 1;
    int64_t bytes = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (bytes == 0 || bytes > length)
        return 0;
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80; /* else it would have a shorter form */
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf; /* else it would be a surrogate, or beyond the last one */
    if (text[1] < low || text[1] > high)
        return 0;
    for (int64_t i = 2; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

static void make_utf8(uint8_t *text, int64_t length) {
    for (int64_t at = 0; at < length;) {
        int64_t bytes = character_bytes(text + at, length - at);
        if (bytes == 0)
            text[at] = '?';
        at += bytes == 0 ? 1 : bytes;
    }
}

static void put_headers(el_header_columns *headers, int64_t at, const el_record *record) {
    const uint8_t *source = record->headers, *end = source + record->headers_length;
    int64_t index = headers->ends[at];
    el_header header;
    for (int32_t i = 0; i < record->header_count; i++, index++) {
        el_header_next(&source, end, &header);
        put(&headers->names, index, header.key, header.key_length);
        make_utf8(headers->names.data + headers->names.ends[index], headers->names.ends[index + 1] - headers->names.ends[index]);
        put(&headers->values, index, header.value, header.value_length);
    }
    headers->ends[at + 1] = index;
}

static void begin_all(el_columns *columns) {
    begin(&columns->keys, columns->count);
    begin(&columns->values, columns->count);
    if (columns->has_headers) {
        columns->headers.ends[0] = 0;
        begin(&columns->headers.names, columns->headers.count);
        begin(&columns->headers.values, columns->headers.count);
    }
}

/* Why was nothing measured? The next record is malformed, or it has malformed headers, or there is none. */
static int find_reason(el_reader *reader, int64_t stop_offset) {
    el_record record;
    int more = el_reader_next(reader, stop_offset, &record);
    if (more == 1)
        reader->codec_status = EL_CODEC_BAD_RECORD;
    return more == 0 ? 0 : -1;
}

__attribute__((flatten)) int el_columns_fill(el_reader *reader, int64_t stop_offset, el_columns *columns) {
    el_record record;
    if (columns->passed == 0)
        return find_reason(reader, stop_offset);
    if (columns->count > 0)
        begin_all(columns);
    for (int64_t at = 0, passed = 0; passed < columns->passed; passed++) {
        el_reader_next(reader, stop_offset, &record);
        int64_t timestamp = el_reader_timestamp(reader, &record);
        if (is_left_out(columns, timestamp))
            continue;
        columns->offsets[at] = reader->batch.base_offset + record.offset_delta;
        columns->timestamps[at] = timestamp;
        put(&columns->keys, at, record.key, record.key_length);
        put(&columns->values, at, record.value, record.value_length);
        if (columns->has_headers)
            put_headers(&columns->headers, at, &record);
        at++;
    }
    return 0;
}
