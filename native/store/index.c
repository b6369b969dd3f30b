#include "index.h"

#include <string.h>
#include <sys/stat.h>

#include "../codec/assertions.h"
#include "../codec/big_endian.h"
#include "read.h"

/* Kafka's rule (LogSegment.append): if there are more bytes than the interval since the last entry, the batch that is appended now
 * gets one. */
int el_index_note(el_tail *tail, const el_batch *batch, int64_t last_offset, int64_t interval_bytes, uint8_t *entry) {
    if (batch->max_timestamp > tail->max_timestamp) {
        tail->max_timestamp = batch->max_timestamp;
        tail->max_timestamp_offset = last_offset;
    }
    if (tail->first_timestamp < 0)
        tail->first_timestamp = batch->max_timestamp;
    int is_due = tail->bytes_since_index > interval_bytes;
    if (is_due) {
        el_store_32(entry, (uint32_t)(last_offset - tail->segment_base));
        el_store_32(entry + 4, (uint32_t)tail->position);
        tail->bytes_since_index = 0;
    }
    tail->bytes_since_index += batch->size_bytes;
    return is_due;
}

int el_time_index_due(el_tail *tail, uint8_t *entry) {
    if (tail->max_timestamp <= tail->indexed_timestamp)
        return 0;
    el_store_64(entry, (uint64_t)tail->max_timestamp);
    el_store_32(entry + 8, (uint32_t)(tail->max_timestamp_offset - tail->segment_base));
    tail->indexed_timestamp = tail->max_timestamp;
    return 1;
}

el_index_entry el_index_read(const uint8_t *bytes) {
    return (el_index_entry){.relative_offset = (int32_t)el_load_32(bytes), .position = (int32_t)el_load_32(bytes + 4)};
}

static int64_t load_key(const uint8_t *entry, size_t key_bytes) {
    return key_bytes == sizeof(int32_t) ? (int32_t)el_load_32(entry) : (int64_t)el_load_64(entry);
}

/* Read whole entries. Returns how many could be read. */
static size_t read_entries(int fd, uint8_t *entries, size_t count, size_t entry_bytes, size_t first) {
    return el_read_at(fd, entries, count * entry_bytes, (int64_t)(first * entry_bytes)) / entry_bytes;
}

/* Where the search still has to go: entries before `low` are small enough, entries from `high` on are too large. */
typedef struct range {
    size_t low;
    size_t high;
} range;

/* Entries that were read. */
typedef struct window {
    uint8_t page[EL_PAGE_BYTES];
    size_t first;
    size_t count;
} window;

/* Read a page of entries around the position at which the key is, if keys rise evenly. */
static void read_around_guess(int fd, size_t entry_bytes, size_t key_bytes, int64_t key, double fraction, range *rest, window *loaded) {
    size_t count = EL_PAGE_BYTES / entry_bytes, guess = (size_t)(fraction * (double)rest->high);
    size_t first = guess > count / 2 ? guess - count / 2 : 0;
    loaded->first = first < rest->high - count ? first : rest->high - count;
    loaded->count = read_entries(fd, loaded->page, count, entry_bytes, loaded->first);
    if (loaded->count == 0)
        return;
    size_t last = loaded->first + loaded->count - 1;
    if (load_key(loaded->page, key_bytes) > key)
        rest->high = loaded->first;
    else if (load_key(loaded->page + (loaded->count - 1) * entry_bytes, key_bytes) > key)
        *rest = (range){loaded->first, last};
    else
        rest->low = last;
}

/* Read single entries until the rest fits into a page. */
static void halve(int fd, size_t entry_bytes, size_t key_bytes, int64_t key, range *rest) {
    uint8_t entry[EL_TIME_INDEX_ENTRY_BYTES];
    while (rest->high - rest->low > EL_PAGE_BYTES / entry_bytes) {
        size_t middle = rest->low + (rest->high - rest->low) / 2;
        if (read_entries(fd, entry, 1, entry_bytes, middle) == 1 && load_key(entry, key_bytes) <= key)
            rest->low = middle;
        else
            rest->high = middle; /* or the file was cut meanwhile */
    }
}

int el_index_floor(int fd, size_t entry_bytes, size_t key_bytes, int64_t key, int64_t keys_end, uint8_t *entry) {
    window loaded;
    struct stat file;
    if (fstat(fd, &file) != 0)
        return 0;
    loaded.first = loaded.count = 0;
    range rest = {0, (size_t)file.st_size / entry_bytes};
    if (rest.high > EL_PAGE_BYTES / entry_bytes && key >= 0 && key < keys_end)
        read_around_guess(fd, entry_bytes, key_bytes, key, (double)key / (double)keys_end, &rest, &loaded);
    halve(fd, entry_bytes, key_bytes, key, &rest);
    EL_ASSERT(rest.low <= rest.high && rest.high - rest.low <= EL_PAGE_BYTES / entry_bytes);
    if (rest.low < loaded.first || rest.high > loaded.first + loaded.count) {
        loaded.first = rest.low;
        loaded.count = read_entries(fd, loaded.page, rest.high - rest.low, entry_bytes, rest.low);
        rest.high = rest.low + loaded.count;
    }
    const uint8_t *entries = loaded.page + (rest.low - loaded.first) * entry_bytes;
    size_t found = 0;
    for (size_t size = rest.high - rest.low; size > 0;) {
        size_t half = (size + 1) / 2;
        int is_small = load_key(entries + (found + half - 1) * entry_bytes, key_bytes) <= key;
        found += is_small ? half : 0;
        size = is_small ? size - half : half - 1;
    }
    if (found == 0)
        return 0;
    memcpy(entry, entries + (found - 1) * entry_bytes, entry_bytes);
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
