#include "produced.h"

#include <string.h>

#define KNOWN_ATTRIBUTES                                                                                                                    \
    (EL_ATTRIBUTE_COMPRESSION | EL_ATTRIBUTE_LOG_APPEND_TIME | EL_ATTRIBUTE_TRANSACTIONAL | EL_ATTRIBUTE_CONTROL)

static int verify_header(const el_batch *batch, const el_produced_rules *rules) {
    if (batch->size_bytes > rules->batch_bytes_max)
        return EL_PRODUCED_TOO_LARGE;
    if (batch->record_count == 0)
        return EL_PRODUCED_EMPTY;
    if (batch->record_count != (int64_t)batch->last_offset_delta + 1)
        return EL_PRODUCED_BAD_COUNT;
    if (batch->attributes & ~KNOWN_ATTRIBUTES)
        return EL_PRODUCED_BAD_ATTRIBUTES;
    if (batch->attributes & EL_ATTRIBUTE_CONTROL)
        return EL_PRODUCED_CONTROL;
    if (batch->attributes & EL_ATTRIBUTE_TRANSACTIONAL && batch->producer_id < 0)
        return EL_PRODUCED_TRANSACTIONAL;
    if (batch->attributes & EL_ATTRIBUTE_LOG_APPEND_TIME && !rules->has_append_time)
        return EL_PRODUCED_BAD_TIMESTAMP_TYPE;
    if (batch->producer_id < -1 || (batch->producer_id >= 0 && (batch->producer_epoch < 0 || batch->base_sequence < 0)))
        return EL_PRODUCED_BAD_PRODUCER;
    return EL_CODEC_OK;
}

/* The timestamp of a record, -1 if it has none; 0 if it is not a valid time. */
static int add_timestamp(const el_batch *batch, const el_record *record, int64_t *timestamp) {
    return !__builtin_add_overflow(batch->base_timestamp, record->timestamp_delta, timestamp) && *timestamp >= -1;
}

static int verify_record(const el_batch *batch, const el_record *record, int64_t previous_delta, int needs_keys, int64_t *max_timestamp) {
    int64_t timestamp;
    if (record->header_count > 0 && el_record_verify_headers(record) != EL_CODEC_OK)
        return EL_PRODUCED_BAD_RECORD;
    if (record->offset_delta <= previous_delta || record->offset_delta > batch->last_offset_delta)
        return EL_PRODUCED_BAD_DELTA;
    if (!add_timestamp(batch, record, &timestamp))
        return EL_PRODUCED_BAD_TIMESTAMP;
    if (needs_keys && record->key_length < 0)
        return EL_PRODUCED_NO_KEY;
    *max_timestamp = timestamp > *max_timestamp ? timestamp : *max_timestamp;
    return EL_CODEC_OK;
}

static int verify_records(const uint8_t *records, size_t length, int needs_keys, el_produced *produced, int64_t *max_timestamp) {
    const uint8_t *at = records, *end = records + length;
    int64_t previous_delta = -1;
    el_record record;
    *max_timestamp = -1;
    for (int32_t number = 0; number < produced->batch.record_count; number++) {
        produced->record_number = number;
        if (el_record_next(&at, end, &record) != EL_CODEC_OK)
            return EL_PRODUCED_BAD_RECORD;
        int status = verify_record(&produced->batch, &record, previous_delta, needs_keys, max_timestamp);
        if (status != EL_CODEC_OK)
            return status;
        previous_delta = record.offset_delta;
    }
    return at == end ? EL_CODEC_OK : EL_PRODUCED_EXCESS;
}

int el_produced_accept_records(uint8_t *batches, const uint8_t *records, size_t length, const el_produced_rules *rules,
                               el_produced *produced) {
    el_batch *batch = &produced->batch;
    int64_t max_timestamp;
    int status = verify_records(records, length, rules->needs_keys, produced, &max_timestamp);
    if (status != EL_CODEC_OK)
        return status;
    if (rules->has_append_time)
        max_timestamp = produced->append_time_ms;
    if (batch->max_timestamp != max_timestamp || (rules->has_append_time && !(batch->attributes & EL_ATTRIBUTE_LOG_APPEND_TIME))) {
        batch->attributes |= rules->has_append_time ? EL_ATTRIBUTE_LOG_APPEND_TIME : 0;
        batch->max_timestamp = max_timestamp; /* as a broker does */
        el_batch_seal(batches + produced->position, batch);
    }
    produced->position += batch->size_bytes;
    produced->record_count += batch->record_count;
    return EL_CODEC_OK;
}

size_t el_produced_list_keyless(const uint8_t *records, size_t length, int32_t *numbers, size_t capacity) {
    const uint8_t *at = records, *end = records + length;
    el_record record;
    size_t count = 0;
    for (int32_t number = 0; count < capacity && el_record_next(&at, end, &record) == EL_CODEC_OK; number++)
        if (record.key_length < 0)
            numbers[count++] = number;
    return count;
}

static int accept_batch(uint8_t *batches, size_t length, const el_produced_rules *rules, el_produced *produced) {
    el_batch *batch = &produced->batch;
    uint8_t *data = batches + produced->position;
    size_t available = length - (size_t)produced->position;
    if (available >= EL_BATCH_HEADER_BYTES)
        memset(data, 0, 8); /* the append assigns another base offset */
    int status = el_batch_parse(data, available, batch);
    if (status == EL_CODEC_OK)
        status = el_batch_verify(data, batch);
    if (status == EL_CODEC_OK)
        status = verify_header(batch, rules);
    if (status != EL_CODEC_OK)
        return status;
    if (batch->attributes & EL_ATTRIBUTE_COMPRESSION || rules->codec > 0)
        return EL_PRODUCED_OTHER_CODEC;
    size_t records_length = (size_t)batch->size_bytes - EL_BATCH_HEADER_BYTES;
    return el_produced_accept_records(batches, data + EL_BATCH_HEADER_BYTES, records_length, rules, produced);
}

int el_produced_accept(uint8_t *batches, size_t length, const el_produced_rules *rules, el_produced *produced) {
    int status = EL_CODEC_OK;
    while (status == EL_CODEC_OK && ((size_t)produced->position < length || produced->position == 0))
        status = accept_batch(batches, length, rules, produced);
    return status;
}
