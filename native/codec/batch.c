#include "batch.h"

#include <limits.h>
#include <string.h>

#include "assertions.h"
#include "big_endian.h"
#include "crc32c.h"
#include "varint.h"

#define RECORD_ATTRIBUTES_BYTES 1
#define RECORD_BYTES_MIN 7 /* length, attributes, two deltas, two lengths, header count: one byte each */
#define CHECKSUM_START 21

static const char *const status_texts[] = {
    [EL_CODEC_OK] = "whole and right",
    [EL_CODEC_INCOMPLETE] = "the file ends inside a batch",
    [EL_CODEC_ZEROS] = "zeros where a batch should begin",
    [EL_CODEC_BAD_OFFSET] = "an offset that is negative, overflows or goes backwards",
    [EL_CODEC_BAD_LENGTH] = "a batch length too small for a batch header",
    [EL_CODEC_BAD_MAGIC] = "a batch whose magic is not 2",
    [EL_CODEC_BAD_CHECKSUM] = "a batch whose CRC32C does not match",
    [EL_CODEC_BAD_COUNT] = "a record count that does not fit the batch",
    [EL_CODEC_BAD_RECORD] = "a record whose lengths contradict each other",
    [EL_CODEC_NO_ROOM] = "no room in the buffer",
};

const char *el_codec_status_text(int status) {
    if (status < 0 || status >= (int)(sizeof status_texts / sizeof *status_texts))
        return "unknown status";
    return status_texts[status];
}

#define SMALL_RECORD_BYTES_MIN 12 /* this many are read without checking where the bytes end */
#define SMALL_MAX 0x3fff          /* the largest number in a varint of two bytes */

static int is_zero(const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (data[i] != 0)
            return 0;
    return 1;
}

static int check_header(const uint8_t *data, el_batch *batch) {
    int32_t batch_length = (int32_t)el_load_32(data + 8);
    if (batch_length < EL_BATCH_HEADER_BYTES - EL_BATCH_LENGTH_END)
        return is_zero(data, EL_BATCH_HEADER_BYTES) ? EL_CODEC_ZEROS : EL_CODEC_BAD_LENGTH;
    if (data[16] != EL_MAGIC)
        return EL_CODEC_BAD_MAGIC;
    if (batch->base_offset < 0 || batch->last_offset_delta < 0 ||
        batch->base_offset > INT64_MAX - batch->last_offset_delta - 1)
        return EL_CODEC_BAD_OFFSET;
    /* A compacted batch has fewer records than offsets, never more. */
    if (batch->record_count < 0 || (int64_t)batch->record_count > (int64_t)batch->last_offset_delta + 1)
        return EL_CODEC_BAD_COUNT;
    int64_t records_bytes = (int64_t)batch_length + EL_BATCH_LENGTH_END - EL_BATCH_HEADER_BYTES;
    if ((batch->attributes & EL_ATTRIBUTE_COMPRESSION) == 0 &&
        (int64_t)batch->record_count * RECORD_BYTES_MIN > records_bytes)
        return EL_CODEC_BAD_COUNT;
    batch->size_bytes = (int64_t)batch_length + EL_BATCH_LENGTH_END;
    return EL_CODEC_OK;
}

int el_batch_parse(const uint8_t *data, size_t available, el_batch *batch) {
    batch->size_bytes = 0;
    if (available < EL_BATCH_HEADER_BYTES)
        return EL_CODEC_INCOMPLETE;
    batch->base_offset = (int64_t)el_load_64(data);
    batch->leader_epoch = (int32_t)el_load_32(data + 12);
    batch->crc = el_load_32(data + 17);
    batch->attributes = (int16_t)el_load_16(data + 21);
    batch->last_offset_delta = (int32_t)el_load_32(data + 23);
    batch->base_timestamp = (int64_t)el_load_64(data + 27);
    batch->max_timestamp = (int64_t)el_load_64(data + 35);
    batch->producer_id = (int64_t)el_load_64(data + 43);
    batch->producer_epoch = (int16_t)el_load_16(data + 51);
    batch->base_sequence = (int32_t)el_load_32(data + 53);
    batch->record_count = (int32_t)el_load_32(data + 57);
    int status = check_header(data, batch);
    if (status != EL_CODEC_OK)
        return status;
    return available < (size_t)batch->size_bytes ? EL_CODEC_INCOMPLETE : EL_CODEC_OK;
}

int el_batch_verify(const uint8_t *data, const el_batch *batch) {
    size_t covered = (size_t)batch->size_bytes - CHECKSUM_START;
    return el_crc32c(0, data + CHECKSUM_START, covered) == batch->crc ? EL_CODEC_OK : EL_CODEC_BAD_CHECKSUM;
}

/* A length of -1 means null; anything below, or past the end, is an error. */
static inline int read_bytes(const uint8_t **cursor, const uint8_t *end, const uint8_t **bytes, int32_t *length) {
    int64_t value;
    if (!el_varint_read(cursor, end, EL_VARINT_BYTES_MAX, &value) || value < -1 || value > end - *cursor)
        return 0;
    *length = (int32_t)value;
    *bytes = value < 0 ? NULL : *cursor;
    *cursor += value < 0 ? 0 : value;
    return 1;
}

/* Where the record ends whose length is at *at; moves *at behind the length. NULL if it is too short or too long. */
static inline const uint8_t *end_of_record(const uint8_t **at, const uint8_t *end) {
    int64_t length;
    if (!el_varint_read(at, end, EL_VARINT_BYTES_MAX, &length) || length < RECORD_BYTES_MIN - 1 || length > end - *at)
        return NULL;
    return *at + length;
}

int el_record_skip(const uint8_t **cursor, const uint8_t *end) {
    const uint8_t *at = *cursor, *record_end = end_of_record(&at, end);
    if (record_end == NULL)
        return EL_CODEC_BAD_RECORD;
    *cursor = record_end;
    return EL_CODEC_OK;
}

/* A varint of one or two bytes, still zig-zag; two bytes have to be there. What is longer comes out above SMALL_MAX. */
static inline uint32_t read_small(const uint8_t **cursor) {
    const uint8_t *at = *cursor;
    uint32_t bits = at[0];
    *cursor = at + 1;
    if (bits >= 0x80) {
        bits += ((uint32_t)at[1] - 1) << 7;
        *cursor = at + 2;
    }
    return bits;
}

/* Most records have small fields and no headers, and are decoded here in half the time. 0 if it is not such a record, or wrong. In zig-zag
 * form a number that is not negative is twice as large, and even; null, a length of -1, is 1. */
static inline int next_small(const uint8_t **cursor, const uint8_t *end, el_record *record) {
    const uint8_t *at = *cursor;
    if (end - at < SMALL_RECORD_BYTES_MIN)
        return 0;
    uint32_t length = read_small(&at);
    if (length > SMALL_MAX || (length & 1) || length / 2 > end - at)
        return 0;
    const uint8_t *record_end = at + length / 2;
    at += RECORD_ATTRIBUTES_BYTES;
    uint32_t timestamp_delta = read_small(&at), offset_delta = read_small(&at), key_length = read_small(&at);
    record->key = NULL;
    record->key_length = -1;
    if (key_length != 1) {
        if ((key_length & 1) || key_length / 2 > record_end - at)
            return 0;
        record->key = at;
        record->key_length = (int32_t)(key_length / 2);
        at += key_length / 2;
    }
    if (record_end - at < 3) /* a length of two bytes, and the number of headers */
        return 0;
    uint32_t value_length = read_small(&at);
    if (((offset_delta | value_length) & 1) || (timestamp_delta | offset_delta | key_length | value_length) > SMALL_MAX ||
        value_length / 2 != record_end - at - 1 || record_end[-1] != 0)
        return 0;
    record->timestamp_delta = (int64_t)(timestamp_delta >> 1) ^ -(int64_t)(timestamp_delta & 1);
    record->offset_delta = (int32_t)(offset_delta / 2);
    record->value = at;
    record->value_length = (int32_t)(value_length / 2);
    record->headers = record_end;
    record->headers_length = 0;
    record->header_count = 0;
    *cursor = record_end;
    return 1;
}

int el_record_next(const uint8_t **cursor, const uint8_t *end, el_record *record) {
    if (next_small(cursor, end, record))
        return EL_CODEC_OK;
    const uint8_t *at = *cursor, *record_end = end_of_record(&at, end);
    int64_t offset_delta, header_count;
    if (record_end == NULL)
        return EL_CODEC_BAD_RECORD;
    at += RECORD_ATTRIBUTES_BYTES;
    if (!el_varint_read(&at, record_end, EL_VARLONG_BYTES_MAX, &record->timestamp_delta) ||
        !el_varint_read(&at, record_end, EL_VARINT_BYTES_MAX, &offset_delta) || offset_delta < 0 ||
        offset_delta > INT32_MAX)
        return EL_CODEC_BAD_RECORD;
    if (!read_bytes(&at, record_end, &record->key, &record->key_length) ||
        !read_bytes(&at, record_end, &record->value, &record->value_length) ||
        !el_varint_read(&at, record_end, EL_VARINT_BYTES_MAX, &header_count))
        return EL_CODEC_BAD_RECORD;
    /* A header takes two bytes at least: the count is bounded before anybody allocates by it. */
    if (header_count < 0 || header_count > (record_end - at) / 2 || (header_count == 0 && at != record_end))
        return EL_CODEC_BAD_RECORD;
    record->offset_delta = (int32_t)offset_delta;
    record->headers = at;
    record->headers_length = (size_t)(record_end - at);
    record->header_count = (int32_t)header_count;
    *cursor = record_end;
    return EL_CODEC_OK;
}

int el_header_next(const uint8_t **cursor, const uint8_t *end, el_header *header) {
    if (!read_bytes(cursor, end, &header->key, &header->key_length) || header->key_length < 0 ||
        !read_bytes(cursor, end, &header->value, &header->value_length))
        return EL_CODEC_BAD_RECORD;
    return EL_CODEC_OK;
}

int el_record_verify_headers(const el_record *record) {
    const uint8_t *at = record->headers, *end = at + record->headers_length;
    el_header header;
    for (int32_t i = 0; i < record->header_count; i++)
        if (el_header_next(&at, end, &header) != EL_CODEC_OK)
            return EL_CODEC_BAD_RECORD;
    return at == end ? EL_CODEC_OK : EL_CODEC_BAD_RECORD;
}

int el_batch_verify_records(const uint8_t *records, size_t length, const el_batch *batch) {
    const uint8_t *at = records, *end = records + length;
    int64_t previous = -1;
    el_record record;
    for (int32_t i = 0; i < batch->record_count; i++) {
        int status = el_record_next(&at, end, &record);
        if (status == EL_CODEC_OK && record.header_count > 0)
            status = el_record_verify_headers(&record);
        if (status != EL_CODEC_OK)
            return status;
        if (record.offset_delta <= previous || record.offset_delta > batch->last_offset_delta)
            return EL_CODEC_BAD_OFFSET;
        previous = record.offset_delta;
    }
    return at == end ? EL_CODEC_OK : EL_CODEC_BAD_COUNT;
}

size_t el_record_size_max(int64_t key_length, int64_t value_length, size_t headers_length) {
    size_t payload = (size_t)(key_length > 0 ? key_length : 0) + (size_t)(value_length > 0 ? value_length : 0);
    return payload + headers_length + RECORD_ATTRIBUTES_BYTES + EL_VARLONG_BYTES_MAX + 5 * EL_VARINT_BYTES_MAX;
}

static size_t bytes_size(int64_t length) {
    return el_varint_size(length) + (size_t)(length > 0 ? length : 0);
}

static uint8_t *write_bytes(uint8_t *out, const uint8_t *bytes, int64_t length) {
    out = el_varint_write(out, length);
    if (length > 0) {
        memcpy(out, bytes, (size_t)length);
        out += length;
    }
    return out;
}

size_t el_header_size(int64_t key_length, int64_t value_length) {
    return bytes_size(key_length) + bytes_size(value_length);
}

size_t el_header_write(uint8_t *out, const uint8_t *key, int64_t key_length, const uint8_t *value,
                       int64_t value_length) {
    uint8_t *end = write_bytes(write_bytes(out, key, key_length), value, value_length);
    return (size_t)(end - out);
}

void el_batch_begin(el_batch_writer *writer, uint8_t *data, size_t capacity) {
    writer->data = data;
    writer->capacity = capacity;
    writer->length = EL_BATCH_HEADER_BYTES;
    writer->base_timestamp = 0;
    writer->max_timestamp = -1;
    writer->record_count = 0;
}

int el_batch_add(el_batch_writer *writer, int64_t timestamp, const uint8_t *key, int64_t key_length,
                 const uint8_t *value, int64_t value_length, const uint8_t *headers, size_t headers_length,
                 int32_t header_count) {
    int64_t base_timestamp = writer->record_count == 0 ? timestamp : writer->base_timestamp;
    int64_t timestamp_delta = timestamp - base_timestamp;
    size_t body = RECORD_ATTRIBUTES_BYTES + el_varint_size(timestamp_delta) + el_varint_size(writer->record_count) +
                  bytes_size(key_length) + bytes_size(value_length) + el_varint_size(header_count) + headers_length;
    size_t size = el_varint_size((int64_t)body) + body;
    if (body > INT32_MAX || writer->capacity < writer->length || size > writer->capacity - writer->length ||
        writer->record_count == INT32_MAX)
        return EL_CODEC_NO_ROOM;
    uint8_t *out = el_varint_write(writer->data + writer->length, (int64_t)body);
    *out++ = 0; /* attributes: unused */
    out = el_varint_write(out, timestamp_delta);
    out = el_varint_write(out, writer->record_count);
    out = write_bytes(out, key, key_length);
    out = write_bytes(out, value, value_length);
    out = el_varint_write(out, header_count);
    if (headers_length > 0)
        memcpy(out, headers, headers_length);
    EL_ASSERT(out + headers_length == writer->data + writer->length + size);
    writer->base_timestamp = base_timestamp;
    writer->max_timestamp = timestamp > writer->max_timestamp ? timestamp : writer->max_timestamp;
    writer->record_count += 1;
    writer->length += size;
    return EL_CODEC_OK;
}

size_t el_batch_finish(el_batch_writer *writer, int16_t attributes) {
    el_batch batch = {
        .base_timestamp = writer->base_timestamp,
        .max_timestamp = writer->max_timestamp,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .attributes = attributes,
        .last_offset_delta = writer->record_count - 1,
        .record_count = writer->record_count,
        .size_bytes = (int64_t)writer->length,
    };
    el_batch_seal(writer->data, &batch);
    return writer->length;
}

void el_batch_seal(uint8_t *data, el_batch *batch) {
    el_store_32(data + 8, (uint32_t)(batch->size_bytes - EL_BATCH_LENGTH_END));
    data[16] = EL_MAGIC;
    el_store_16(data + 21, (uint16_t)batch->attributes);
    el_store_32(data + 23, (uint32_t)batch->last_offset_delta);
    el_store_64(data + 27, (uint64_t)batch->base_timestamp);
    el_store_64(data + 35, (uint64_t)batch->max_timestamp);
    el_store_64(data + 43, (uint64_t)batch->producer_id);
    el_store_16(data + 51, (uint16_t)batch->producer_epoch);
    el_store_32(data + 53, (uint32_t)batch->base_sequence);
    el_store_32(data + 57, (uint32_t)batch->record_count);
    batch->crc = el_crc32c(0, data + CHECKSUM_START, (size_t)batch->size_bytes - CHECKSUM_START);
    el_store_32(data + 17, batch->crc);
    el_batch_place(data, batch->base_offset, batch->leader_epoch);
}

void el_batch_place(uint8_t *data, int64_t base_offset, int32_t leader_epoch) {
    el_store_64(data, (uint64_t)base_offset);
    el_store_32(data + 12, (uint32_t)leader_epoch);
}

void el_scan_begin(el_scan *scan, int64_t next_offset) {
    memset(scan, 0, sizeof *scan);
    scan->next_offset = next_offset;
    scan->max_timestamp = -1;
    scan->max_timestamp_offset = -1;
    scan->last_leader_epoch = -1;
}

static int scan_one(const uint8_t *data, size_t available, int64_t next_offset, el_batch *batch) {
    int status = el_batch_parse(data, available, batch);
    if (status == EL_CODEC_OK && batch->base_offset < next_offset)
        status = EL_CODEC_BAD_OFFSET;
    if (status == EL_CODEC_OK)
        status = el_batch_verify(data, batch);
    if (status == EL_CODEC_OK && (batch->attributes & EL_ATTRIBUTE_COMPRESSION) == 0)
        status = el_batch_verify_records(data + EL_BATCH_HEADER_BYTES,
                                         (size_t)batch->size_bytes - EL_BATCH_HEADER_BYTES, batch);
    return status;
}

int el_scan_batches(const uint8_t *data, size_t length, el_scan *scan) {
    size_t at = 0;
    scan->status = EL_CODEC_OK;
    scan->needed_bytes = 0;
    while (at < length) {
        el_batch batch;
        scan->status = scan_one(data + at, length - at, scan->next_offset, &batch);
        if (scan->status == EL_CODEC_OK && batch.base_offset != scan->next_offset)
            scan->status = EL_CODEC_BAD_OFFSET;
        if (scan->status != EL_CODEC_OK) {
            scan->needed_bytes = scan->status == EL_CODEC_INCOMPLETE ? batch.size_bytes : 0;
            break;
        }
        at += (size_t)batch.size_bytes;
        scan->valid_bytes += batch.size_bytes;
        scan->batch_count += 1;
        scan->record_count += batch.record_count;
        scan->next_offset = batch.base_offset + batch.last_offset_delta + 1;
        scan->last_leader_epoch = batch.leader_epoch;
        if (batch.max_timestamp > scan->max_timestamp) {
            scan->max_timestamp = batch.max_timestamp;
            scan->max_timestamp_offset = scan->next_offset - 1;
        }
    }
    return scan->status;
}

int64_t el_find_batch(const uint8_t *data, size_t length, int64_t next_offset) {
    /* Looking for the magic first keeps the search linear in garbage; the checksum decides. */
    size_t at = 0;
    while (length - at >= EL_BATCH_HEADER_BYTES) {
        const uint8_t *magic = memchr(data + at + 16, EL_MAGIC, length - at - EL_BATCH_HEADER_BYTES + 1);
        if (magic == NULL)
            return -1;
        at = (size_t)(magic - data) - 16;
        el_batch batch;
        if (scan_one(data + at, length - at, next_offset, &batch) == EL_CODEC_OK)
            return (int64_t)at;
        at += 1;
    }
    return -1;
}
