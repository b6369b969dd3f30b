#include "compact.h"

#include <string.h>

#include "assertions.h"
#include "siphash.h"
#include "varint.h"

/* The entry of a record's key, or the free one that it would get. */
static el_key_offset *find(const el_offset_map *map, const el_record *record, uint64_t hash[2]) {
    EL_ASSERT(map->capacity >= 8 && map->used < map->capacity); /* else the search would not end */
    el_siphash_128(map->secret, record->key, (size_t)record->key_length, hash);
    uint64_t index = hash[0] % map->capacity;
    while (map->entries[index].offset_plus_one != 0 &&
           (map->entries[index].hash[0] != hash[0] || map->entries[index].hash[1] != hash[1]))
        index = index + 1 == map->capacity ? 0 : index + 1;
    return &map->entries[index];
}

/* Control batches have no keys, and the meaning of unknown attributes cannot be told: such batches stay as they are. */
static int is_left_alone(const el_batch *batch) {
    return (batch->attributes & (EL_ATTRIBUTE_CONTROL | ~EL_ATTRIBUTES_KNOWN)) != 0;
}

/* No checksum covers the base offset of a batch, so it is checked here. */
static int is_in_order(const el_batch *batch, int64_t next_offset) {
    return batch->base_offset >= next_offset;
}

static int64_t end_offset_of(const el_batch *batch) {
    return batch->base_offset + batch->last_offset_delta + 1;
}

int el_offset_map_note(el_offset_map *map, const el_batch *batch, const uint8_t *records, size_t length) {
    const uint8_t *cursor = records, *end = records + length;
    el_record record;
    if (!is_in_order(batch, map->next_offset))
        return EL_CODEC_BAD_OFFSET;
    while (!is_left_alone(batch) && !el_is_aborted(&map->aborted, batch) && cursor < end &&
           el_record_next(&cursor, end, &record) == EL_CODEC_OK) {
        uint64_t hash[2];
        int64_t offset = batch->base_offset + record.offset_delta;
        if (record.key_length < 0 || offset < map->first_offset)
            continue;
        el_key_offset *entry = find(map, &record, hash);
        if (entry->offset_plus_one == 0) {
            if (map->used >= map->capacity - map->capacity / 8)
                return EL_COMPACT_FULL;
            map->used += 1;
        }
        *entry = (el_key_offset){{hash[0], hash[1]}, offset + 1};
        map->end_offset = offset + 1;
    }
    map->end_offset = map->next_offset = end_offset_of(batch);
    return EL_CODEC_OK;
}

/* Parse and check the batch at `data`; its records, too, unless it is compressed. */
static int check_batch(const uint8_t *data, size_t available, el_batch *batch) {
    int status = el_batch_parse(data, available, batch);
    if (status == EL_CODEC_OK)
        status = el_batch_verify(data, batch);
    if (status == EL_CODEC_OK && (batch->attributes & EL_ATTRIBUTE_COMPRESSION) != 0)
        return EL_COMPACT_COMPRESSED;
    if (status == EL_CODEC_OK)
        status = el_batch_verify_records(data + EL_BATCH_HEADER_BYTES, (size_t)batch->size_bytes - EL_BATCH_HEADER_BYTES, batch);
    return status;
}

int el_offset_map_note_batches(el_offset_map *map, const uint8_t *data, size_t length, size_t *consumed) {
    *consumed = 0;
    while (*consumed < length) {
        el_batch batch;
        int status = check_batch(data + *consumed, length - *consumed, &batch);
        if (status == EL_CODEC_OK)
            status = el_offset_map_note(map, &batch, data + *consumed + EL_BATCH_HEADER_BYTES,
                                        (size_t)batch.size_bytes - EL_BATCH_HEADER_BYTES);
        if (status != EL_CODEC_OK)
            return status;
        *consumed += (size_t)batch.size_bytes;
    }
    return EL_CODEC_OK;
}

static int has_horizon(const el_batch *batch) {
    return (batch->attributes & EL_ATTRIBUTE_DELETE_HORIZON) != 0;
}

static int is_tombstone(const el_record *record) {
    return record->key_length >= 0 && record->value_length < 0;
}

static int stays(const el_compaction *compaction, const el_batch *batch, const el_record *record) {
    if (record->key_length < 0)
        return 1;
    uint64_t hash[2];
    int64_t offset = batch->base_offset + record->offset_delta;
    if (find(compaction->map, record, hash)->offset_plus_one - 1 > offset)
        return 0;
    int is_due = has_horizon(batch) && batch->base_timestamp <= compaction->now;
    return !(is_tombstone(record) && is_due);
}

/* Copy a record as it is, but for its timestamp's delta, which counts from another base. */
static uint8_t *write_record(uint8_t *out, const uint8_t *start, const uint8_t *end, const el_record *record, int64_t base_shift) {
    int64_t ignored;
    const uint8_t *at = start;
    el_varint_read(&at, end, EL_VARINT_BYTES_MAX, &ignored); /* length */
    uint8_t attributes = *at++;
    el_varint_read(&at, end, EL_VARLONG_BYTES_MAX, &ignored); /* timestamp delta */
    int64_t delta = (int64_t)((uint64_t)record->timestamp_delta + (uint64_t)base_shift);
    size_t body = 1 + el_varint_size(delta) + (size_t)(end - at);
    out = el_varint_write(out, (int64_t)body);
    *out++ = attributes;
    out = el_varint_write(out, delta);
    memcpy(out, at, (size_t)(end - at));
    return out + (end - at);
}

typedef struct survey {
    int32_t kept;
    int32_t tombstones;
    int64_t max_timestamp;
} survey;

static survey survey_records(const el_compaction *compaction, const el_batch *batch, const uint8_t *records, size_t length) {
    survey found = {.max_timestamp = INT64_MIN};
    const uint8_t *cursor = records, *end = records + length;
    el_record record;
    if (el_is_aborted(&compaction->map->aborted, batch))
        return found;
    while (cursor < end && el_record_next(&cursor, end, &record) == EL_CODEC_OK) {
        if (!stays(compaction, batch, &record))
            continue;
        int64_t timestamp = (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)record.timestamp_delta);
        found.kept += 1;
        found.tombstones += is_tombstone(&record);
        found.max_timestamp = timestamp > found.max_timestamp ? timestamp : found.max_timestamp;
    }
    return found;
}

/* Is it the last batch of a producer? Without it, the producer's next sequence number would be forgotten. */
static int is_last_of_producer(const el_compaction *compaction, const el_batch *batch) {
    int64_t last_offset = end_offset_of(batch) - 1;
    size_t low = 0, high = compaction->last_offset_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compaction->last_offsets[middle] < last_offset)
            low = middle + 1;
        else
            high = middle;
    }
    return batch->producer_id >= 0 && low < compaction->last_offset_count && compaction->last_offsets[low] == last_offset;
}

/* Note when the tombstones that stay in a batch may be removed. */
static void note_horizon(el_compaction *compaction, const el_batch *batch, const survey *found) {
    int64_t horizon = has_horizon(batch) ? batch->base_timestamp : compaction->new_horizon;
    if (found->tombstones > 0 && horizon < compaction->earliest_horizon)
        compaction->earliest_horizon = horizon;
}

int el_compact_records(el_compaction *compaction, const el_batch *batch, const uint8_t *records, size_t length, uint8_t *out,
                       el_batch *kept) {
    *kept = *batch;
    if (!is_in_order(batch, compaction->next_offset))
        return -1;
    compaction->next_offset = end_offset_of(batch);
    compaction->records_in += batch->record_count;
    if (is_left_alone(batch)) {
        compaction->records_out += batch->record_count;
        return 0;
    }
    survey found = survey_records(compaction, batch, records, length);
    compaction->records_out += found.kept;
    note_horizon(compaction, batch, &found);
    int needs_horizon = found.tombstones > 0 && !has_horizon(batch);
    if (found.kept == batch->record_count && !needs_horizon)
        return 0;
    compaction->batches_changed += 1;
    if (needs_horizon) {
        kept->base_timestamp = compaction->new_horizon;
        kept->attributes |= EL_ATTRIBUTE_DELETE_HORIZON;
    }
    int64_t base_shift = (int64_t)((uint64_t)batch->base_timestamp - (uint64_t)kept->base_timestamp);
    const uint8_t *cursor = records, *end = records + length;
    uint8_t *at = out;
    el_record record;
    for (const uint8_t *start = cursor; found.kept > 0 && cursor < end && el_record_next(&cursor, end, &record) == EL_CODEC_OK; start = cursor)
        if (stays(compaction, batch, &record))
            at = write_record(at, start, cursor, &record, base_shift);
    EL_ASSERT((size_t)(at - out) <= EL_COMPACT_GROWTH * length && found.kept <= batch->record_count);
    kept->record_count = found.kept;
    if ((batch->attributes & EL_ATTRIBUTE_LOG_APPEND_TIME) == 0 && found.kept > 0)
        kept->max_timestamp = found.max_timestamp;
    if (found.kept == 0)
        kept->attributes &= ~EL_ATTRIBUTE_COMPRESSION;
    kept->size_bytes = found.kept > 0 || is_last_of_producer(compaction, batch) ? EL_BATCH_HEADER_BYTES + (at - out) : 0;
    return 1;
}

int el_compact_batches(el_compaction *compaction, const uint8_t *data, size_t length, uint8_t *out, size_t *consumed,
                       size_t *produced) {
    *consumed = *produced = 0;
    while (*consumed < length) {
        el_batch batch, kept;
        const uint8_t *at = data + *consumed;
        int status = check_batch(at, length - *consumed, &batch);
        if (status != EL_CODEC_OK)
            return status;
        size_t section = (size_t)batch.size_bytes - EL_BATCH_HEADER_BYTES;
        uint8_t *target = out + *produced;
        int changed = el_compact_records(compaction, &batch, at + EL_BATCH_HEADER_BYTES, section,
                                         target + EL_BATCH_HEADER_BYTES, &kept);
        if (changed < 0)
            return EL_CODEC_BAD_OFFSET;
        if (!changed || kept.size_bytes > INT32_MAX) {
            memcpy(target, at, (size_t)batch.size_bytes);
            *produced += (size_t)batch.size_bytes;
        } else if (kept.size_bytes > 0) {
            el_batch_seal(target, &kept);
            *produced += (size_t)kept.size_bytes;
        }
        *consumed += (size_t)batch.size_bytes;
    }
    return EL_CODEC_OK;
}
