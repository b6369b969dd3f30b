/* Index entries of any run of batches: each names a batch, they rise, and there is room for them where the caller has made it. */

#include "../store/index.h"

#include "fuzz.h"

static uint64_t load_big_endian(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* How many batches an index is rebuilt from, and how many bytes they take. */
static size_t count_batches(const uint8_t *data, size_t size, size_t *bytes) {
    size_t count = 0;
    el_batch batch;
    *bytes = 0;
    for (; el_batch_parse(data + *bytes, size - *bytes, &batch) == EL_CODEC_OK; *bytes += (size_t)batch.size_bytes)
        count++;
    return count;
}

static void check_entries(const uint8_t *data, size_t size, const el_tail *tail, const uint8_t *index, int64_t start) {
    int64_t previous = -1;
    for (int64_t at = 0; at < tail->index_bytes; at += EL_INDEX_ENTRY_BYTES) {
        int64_t position = (int64_t)load_big_endian(index + at + 4, 4) - start;
        el_batch batch;
        CLAIM(position > previous && position < (int64_t)size);
        CLAIM(el_batch_parse(data + position, size - (size_t)position, &batch) == EL_CODEC_OK);
        int64_t relative = batch.base_offset + batch.last_offset_delta - tail->segment_base;
        CLAIM((uint32_t)relative == load_big_endian(index + at, 4));
        previous = position;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int64_t interval_bytes = 4 * take_byte(&data, &size), start = take_byte(&data, &size), segment_base = take_byte(&data, &size);
    uint8_t *copy = exact_copy(data, size);
    seal_batches(copy, size, SEAL_OFFSETS);
    size_t bytes, batches = count_batches(copy, size, &bytes);
    uint8_t *index = malloc((batches + 1) * EL_INDEX_ENTRY_BYTES), *time_index = malloc((batches + 1) * EL_TIME_INDEX_ENTRY_BYTES);
    el_tail tail = {.end_offset = segment_base, .segment_base = segment_base, .position = start, .max_timestamp = -1,
                    .max_timestamp_offset = -1, .indexed_timestamp = -1, .first_timestamp = -1};
    el_index_rebuild(copy, size, interval_bytes, &tail, index, time_index);
    CLAIM(tail.position == start + (int64_t)bytes);
    CLAIM(tail.index_bytes <= (int64_t)batches * EL_INDEX_ENTRY_BYTES && tail.index_bytes % EL_INDEX_ENTRY_BYTES == 0);
    CLAIM(tail.time_index_bytes / EL_TIME_INDEX_ENTRY_BYTES <= tail.index_bytes / EL_INDEX_ENTRY_BYTES);
    check_entries(copy, size, &tail, index, start);
    int64_t previous = -1;
    for (int64_t at = 0; at < tail.time_index_bytes; at += EL_TIME_INDEX_ENTRY_BYTES) {
        int64_t timestamp = (int64_t)load_big_endian(time_index + at, 8);
        CLAIM(timestamp > previous && timestamp <= tail.max_timestamp);
        previous = timestamp;
    }
    free(index);
    free(time_index);
    free(copy);
    return 0;
}
