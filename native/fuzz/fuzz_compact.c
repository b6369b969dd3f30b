/* Compaction of any batches: what stays is what a plain look at all records says, at its offset, to the last byte of each field. */

#include "../codec/compact.h"
#include "plain.h"

#define NOW 1000

/* A record of the input, with the batch that it stands in. */
typedef struct place {
    el_batch batch;
    el_record record;
    int64_t offset;
} place;

static place places[PLAIN_RECORDS_MAX];
static size_t place_count;

/* Markers of transactions, and what has an attribute that nobody here knows: both stay as they are. */
static int is_left_alone(const el_batch *batch) {
    return (batch->attributes & (EL_ATTRIBUTE_CONTROL | ~EL_ATTRIBUTES_KNOWN)) != 0;
}

/* The records of the batches from the first one on that are right, in order and not compressed; returns how many bytes these take. */
static size_t list_records(const uint8_t *data, size_t size) {
    el_batch batch;
    size_t at = 0;
    int64_t next_offset = 0;
    place_count = 0;
    while (el_batch_parse(data + at, size - at, &batch) == EL_CODEC_OK && el_batch_verify(data + at, &batch) == EL_CODEC_OK &&
           (batch.attributes & EL_ATTRIBUTE_COMPRESSION) == 0) {
        const uint8_t *cursor = data + at + EL_BATCH_HEADER_BYTES, *end = data + at + batch.size_bytes;
        if (el_batch_verify_records(cursor, (size_t)(end - cursor), &batch) != EL_CODEC_OK || batch.base_offset < next_offset)
            break;
        next_offset = batch.base_offset + batch.last_offset_delta + 1;
        while (cursor < end) {
            place *next = &places[place_count++];
            CLAIM(place_count < PLAIN_RECORDS_MAX && el_record_next(&cursor, end, &next->record) == EL_CODEC_OK);
            next->batch = batch;
            next->offset = batch.base_offset + next->record.offset_delta;
        }
        at += (size_t)batch.size_bytes;
    }
    return at;
}

static int is_same_key(const el_record *one, const el_record *other) {
    return one->key_length == other->key_length && memcmp(one->key, other->key, (size_t)one->key_length) == 0;
}

/* By the rules alone: is there a later record of this key among those that were noted, or is it a tombstone that is due? */
static int stays(const place *candidate, const el_offset_map *map) {
    const el_record *record = &candidate->record;
    if (is_left_alone(&candidate->batch) || record->key_length < 0)
        return 1;
    for (const place *other = candidate + 1; other < places + place_count; other++)
        if (!is_left_alone(&other->batch) && other->record.key_length >= 0 && other->offset >= map->first_offset &&
            other->offset < map->end_offset && is_same_key(record, &other->record))
            return 0;
    int is_due = (candidate->batch.attributes & EL_ATTRIBUTE_DELETE_HORIZON) && candidate->batch.base_timestamp <= NOW;
    return !(is_due && record->value_length < 0);
}

static int is_same(const uint8_t *one, int64_t length, const uint8_t *other, int64_t other_length) {
    return length == other_length && (length <= 0 || memcmp(one, other, (size_t)length) == 0);
}

static void check_copy(const place *expected, const el_batch *batch, const el_record *record) {
    const el_record *wanted = &expected->record;
    CLAIM(batch->base_offset + record->offset_delta == expected->offset);
    CLAIM(batch->last_offset_delta == expected->batch.last_offset_delta && batch->base_offset == expected->batch.base_offset);
    CLAIM((uint64_t)batch->base_timestamp + (uint64_t)record->timestamp_delta ==
          (uint64_t)expected->batch.base_timestamp + (uint64_t)wanted->timestamp_delta);
    CLAIM(is_same(record->key, record->key_length, wanted->key, wanted->key_length));
    CLAIM(is_same(record->value, record->value_length, wanted->value, wanted->value_length));
    CLAIM(record->header_count == wanted->header_count);
    CLAIM(is_same(record->headers, (int64_t)record->headers_length, wanted->headers, (int64_t)wanted->headers_length));
}

static void check_output(const uint8_t *data, size_t size, const el_offset_map *map) {
    size_t next = 0;
    for (size_t at = 0; at < size;) {
        el_batch batch;
        CLAIM(el_batch_parse(data + at, size - at, &batch) == EL_CODEC_OK && el_batch_verify(data + at, &batch) == EL_CODEC_OK);
        const uint8_t *cursor = data + at + EL_BATCH_HEADER_BYTES, *end = data + at + batch.size_bytes;
        CLAIM(el_batch_verify_records(cursor, (size_t)(end - cursor), &batch) == EL_CODEC_OK);
        while (cursor < end) {
            el_record record;
            CLAIM(el_record_next(&cursor, end, &record) == EL_CODEC_OK);
            for (; next < place_count && !stays(&places[next], map); next++)
                ;
            CLAIM(next < place_count);
            check_copy(&places[next++], &batch, &record);
        }
        at += (size_t)batch.size_bytes;
    }
    for (; next < place_count; next++)
        CLAIM(!stays(&places[next], map));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t capacity = 8 + 2 * take_byte(&data, &size);
    int64_t first_offset = take_byte(&data, &size) / 8;
    uint8_t *copy = exact_copy(data, size), *out = malloc(EL_COMPACT_GROWTH * size + 1);
    seal_batches(copy, size, SEAL_CHECKSUMS | SEAL_OFFSETS);
    static el_key_offset entries[8 + 2 * UINT8_MAX];
    memset(entries, 0, sizeof entries);
    el_offset_map map = {.entries = entries, .capacity = capacity, .secret = {size, 7}, .first_offset = first_offset};
    size_t right = list_records(copy, size), consumed, produced;
    int status = el_offset_map_note_batches(&map, copy, size, &consumed);
    CLAIM(consumed <= right && (status == EL_COMPACT_FULL || consumed == right));
    CLAIM(map.used <= capacity - capacity / 8);
    el_compaction compaction = {.map = &map, .now = NOW, .new_horizon = 2 * NOW};
    status = el_compact_batches(&compaction, copy, size, out, &consumed, &produced);
    CLAIM(consumed == right && (status == EL_CODEC_OK) == (right == size) && produced <= EL_COMPACT_GROWTH * size);
    check_output(out, produced, &map);
    free(copy);
    free(out);
    return 0;
}
