#include "index.h"

#include <string.h>

static void store_be32(uint8_t *out, uint32_t value) {
    value = __builtin_bswap32(value);
    memcpy(out, &value, 4);
}

static void store_be64(uint8_t *out, uint64_t value) {
    value = __builtin_bswap64(value);
    memcpy(out, &value, 8);
}

/* Kafka's rule (LogSegment.append): once more than the interval has gone by since the last entry, the batch that is
 * appended now gets one. */
int el_index_note(el_tail *tail, const el_batch *batch, int64_t last_offset, int64_t interval_bytes, uint8_t *entry) {
    if (batch->max_timestamp > tail->max_timestamp) {
        tail->max_timestamp = batch->max_timestamp;
        tail->max_timestamp_offset = last_offset;
    }
    if (tail->first_timestamp < 0)
        tail->first_timestamp = batch->max_timestamp;
    int is_due = tail->bytes_since_index > interval_bytes;
    if (is_due) {
        store_be32(entry, (uint32_t)(last_offset - tail->segment_base));
        store_be32(entry + 4, (uint32_t)tail->position);
        tail->bytes_since_index = 0;
    }
    tail->bytes_since_index += batch->size_bytes;
    return is_due;
}

int el_time_index_due(el_tail *tail, uint8_t *entry) {
    if (tail->max_timestamp <= tail->indexed_timestamp)
        return 0;
    store_be64(entry, (uint64_t)tail->max_timestamp);
    store_be32(entry + 8, (uint32_t)(tail->max_timestamp_offset - tail->segment_base));
    tail->indexed_timestamp = tail->max_timestamp;
    return 1;
}

void el_index_rebuild(const uint8_t *batches, size_t length, int64_t interval_bytes, el_tail *tail, uint8_t *index,
                      uint8_t *time_index) {
    int64_t index_start = tail->index_bytes, time_index_start = tail->time_index_bytes;
    for (size_t at = 0; at < length;) {
        el_batch batch;
        if (el_batch_parse(batches + at, length - at, &batch) != EL_CODEC_OK)
            return;
        int64_t last_offset = batch.base_offset + batch.last_offset_delta;
        if (el_index_note(tail, &batch, last_offset, interval_bytes, index + (tail->index_bytes - index_start))) {
            tail->index_bytes += EL_INDEX_ENTRY_BYTES;
            if (el_time_index_due(tail, time_index + (tail->time_index_bytes - time_index_start)))
                tail->time_index_bytes += EL_TIME_INDEX_ENTRY_BYTES;
        }
        tail->position += batch.size_bytes;
        tail->end_offset = last_offset + 1;
        at += (size_t)batch.size_bytes;
    }
}
