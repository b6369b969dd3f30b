#include "produced.h"

/* The timestamp of a record, -1 if it has none; 0 if it is not a valid time. */
static int add_timestamp(const el_batch *batch, const el_record *record, int64_t *timestamp) {
    return !__builtin_add_overflow(batch->base_timestamp, record->timestamp_delta, timestamp) && *timestamp >= -1;
}

static int verify_record(const el_batch *batch, const el_record *record, int64_t previous_delta, int needs_keys, el_produced *produced) {
    int64_t timestamp;
    if (record->header_count > 0 && el_record_verify_headers(record) != EL_CODEC_OK)
        return EL_CODEC_BAD_RECORD;
    if (record->offset_delta <= previous_delta || record->offset_delta > batch->last_offset_delta)
        return EL_CODEC_BAD_OFFSET;
    if (!add_timestamp(batch, record, &timestamp))
        return EL_PRODUCED_BAD_TIMESTAMP;
    if (needs_keys && record->key_length < 0)
        return EL_PRODUCED_NO_KEY;
    produced->max_timestamp = timestamp > produced->max_timestamp ? timestamp : produced->max_timestamp;
    return EL_CODEC_OK;
}

int el_produced_verify(const uint8_t *records, size_t length, const el_batch *batch, int needs_keys, el_produced *produced) {
    const uint8_t *at = records, *end = records + length;
    int64_t previous_delta = -1;
    el_record record;
    produced->max_timestamp = -1;
    for (int32_t number = 0; number < batch->record_count; number++) {
        produced->record_number = number;
        int status = el_record_next(&at, end, &record);
        if (status == EL_CODEC_OK)
            status = verify_record(batch, &record, previous_delta, needs_keys, produced);
        if (status != EL_CODEC_OK)
            return status;
        previous_delta = record.offset_delta;
    }
    return at == end ? EL_CODEC_OK : EL_CODEC_BAD_COUNT;
}
