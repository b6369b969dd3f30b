/* A file of any bytes through the reader's buffer, in blocks of any size: the records that a walk over the file in memory finds, and the
 * end or the damage where that finds it. Each of them is found by an index, too, and by one with a wrong byte. */

#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "../store/index.h"
#include "../store/reader.h"
#include "plain.h"

#define INDEX_BYTES 8192

/* What a walk over the file finds below `stop`, and where it ends; damage inside a batch is told from damage between batches. */
typedef struct walk {
    const uint8_t *data;
    size_t size;
    int64_t base_offset;
    int64_t next_offset;
    int64_t stop;
    int allow_gaps;
    int64_t ended_at; /* the batch at which something was wrong; -1: none */
    int is_inside;
    int is_wrong; /* some batch is wrong, perhaps behind `stop` or in its count: a search may look there, or pass over it */
    el_record records[PLAIN_RECORDS_MAX];
    int64_t offsets[PLAIN_RECORDS_MAX];
    size_t count;
} walk;

static walk found;

static int walk_batch(walk *walk, const uint8_t *data, const el_batch *batch) {
    const uint8_t *cursor = data + EL_BATCH_HEADER_BYTES, *end = data + batch->size_bytes;
    int64_t previous = -1;
    int is_wrong = el_batch_verify_records(cursor, (size_t)(end - cursor), batch) != EL_CODEC_OK;
    walk->is_wrong |= is_wrong;
    if (is_wrong && (batch->attributes & EL_ATTRIBUTE_COMPRESSION))
        return 0;
    while (cursor < end && walk->next_offset < walk->stop) {
        el_record record;
        if (el_record_next(&cursor, end, &record) != EL_CODEC_OK || record.offset_delta <= previous ||
            record.offset_delta > batch->last_offset_delta)
            return 0;
        previous = record.offset_delta;
        int64_t offset = batch->base_offset + record.offset_delta;
        if (offset >= walk->stop)
            return 1;
        if (offset < walk->next_offset)
            continue;
        CLAIM(walk->count < PLAIN_RECORDS_MAX);
        walk->offsets[walk->count] = offset;
        walk->records[walk->count++] = record;
        walk->next_offset = offset + 1;
    }
    return 1;
}

static void walk_file(walk *walk) {
    int64_t following = walk->base_offset;
    walk->ended_at = -1;
    for (size_t at = 0; at < walk->size && walk->next_offset < walk->stop;) {
        el_batch batch;
        const uint8_t *data = walk->data + at;
        int is_right = el_batch_parse(data, walk->size - at, &batch) == EL_CODEC_OK && el_batch_verify(data, &batch) == EL_CODEC_OK &&
                       (walk->allow_gaps ? batch.base_offset >= following : batch.base_offset == following);
        if (is_right && batch.base_offset >= walk->stop)
            return;
        following = is_right ? batch.base_offset + batch.last_offset_delta + 1 : following;
        int is_wanted = is_right && following > walk->next_offset && (batch.attributes & EL_ATTRIBUTE_CONTROL) == 0;
        walk->is_inside = is_wanted && !walk_batch(walk, data, &batch);
        if (!is_right || walk->is_inside) {
            walk->ended_at = (int64_t)at;
            return;
        }
        walk->next_offset = following > walk->next_offset ? following : walk->next_offset;
        at += (size_t)batch.size_bytes;
    }
}

static int is_same_record(const el_record *one, const el_record *other) {
    return one->key_length == other->key_length && one->value_length == other->value_length &&
           one->headers_length == other->headers_length &&
           (one->key_length <= 0 || memcmp(one->key, other->key, (size_t)one->key_length) == 0) &&
           (one->value_length <= 0 || memcmp(one->value, other->value, (size_t)one->value_length) == 0) &&
           (one->headers_length == 0 || memcmp(one->headers, other->headers, one->headers_length) == 0);
}

/* Load what comes next, as the caller in Python does; 0 at the end, -1 at damage. */
static int load(el_reader *reader, int64_t stop) {
    if (reader->next_offset >= stop)
        return 0;
    int status = el_reader_load(reader, stop);
    if (status == EL_READ_COMPRESSED) { /* compressed by a codec that leaves everything as it is */
        size_t length;
        const uint8_t *section = el_reader_compressed(reader, &length);
        static uint8_t decompressed[1 << 16];
        CLAIM(length <= sizeof decompressed);
        memcpy(decompressed, section, length);
        status = el_reader_set_records(reader, decompressed, length);
    }
    CLAIM(status == EL_READ_READY || status == EL_READ_END_OF_SEGMENT || status == EL_READ_CORRUPT);
    return status == EL_READ_READY ? 1 : status == EL_READ_CORRUPT ? -1 : 0;
}

static void check_end(const el_reader *reader, int result) {
    if (result < 0)
        CLAIM(reader->error_position == found.ended_at);
    else
        for (int64_t at = found.ended_at; found.ended_at >= 0 && at < (int64_t)found.size && at < found.ended_at + EL_BATCH_HEADER_BYTES; at++)
            CLAIM(found.data[at] == 0); /* only a tail of zeros is an end */
}

static el_reader *reader_at(int fd, size_t block_bytes, int64_t first) {
    el_reader *reader = el_reader_new(block_bytes);
    reader->allow_gaps = found.allow_gaps;
    reader->segment.fd = fd;
    el_reader_seek(reader, 0, found.base_offset, first);
    return reader;
}

static void check_reading(int fd, size_t block_bytes, int64_t first) {
    el_reader *reader = reader_at(fd, block_bytes, first);
    size_t next = 0;
    int result;
    while ((result = load(reader, found.stop)) > 0) {
        el_record record;
        while ((result = el_reader_next(reader, found.stop, &record)) == 1) {
            CLAIM(next < found.count && is_same_record(&record, &found.records[next]));
            CLAIM(reader->next_offset == found.offsets[next++] + 1);
        }
        if (result < 0)
            break;
    }
    CLAIM(next == found.count);
    check_end(reader, result);
    CLAIM(reader->capacity <= found.size + block_bytes); /* whatever a header claims */
    el_reader_free(reader);
}

static void check_searching(int fd, size_t block_bytes, int64_t first, const el_needle *needle, unsigned fields) {
    el_reader *reader = reader_at(fd, block_bytes, first);
    size_t next = 0;
    int result;
    while ((result = load(reader, found.stop)) > 0) {
        el_record record;
        while ((result = el_reader_search(reader, found.stop, needle, fields, &record)) == 1) {
            for (; next < found.count && !el_record_holds(&found.records[next], needle, fields); next++)
                ;
            CLAIM(next < found.count && is_same_record(&record, &found.records[next]));
            CLAIM(reader->next_offset == found.offsets[next++] + 1);
        }
        CLAIM(result == 0);
    }
    for (; next < found.count; next++)
        CLAIM(!el_record_holds(&found.records[next], needle, fields));
    check_end(reader, result);
    el_reader_free(reader);
}

static void write_index(int index_fd, int64_t interval_bytes, uint8_t wrong_bits, uint8_t wrong_place) {
    uint8_t index[INDEX_BYTES], time_index[2 * INDEX_BYTES];
    el_tail tail = {.segment_base = found.base_offset, .max_timestamp = -1, .indexed_timestamp = -1, .first_timestamp = -1};
    if (found.size / EL_BATCH_HEADER_BYTES > INDEX_BYTES / EL_INDEX_ENTRY_BYTES)
        return;
    el_index_rebuild(found.data, found.size, interval_bytes, &tail, index, time_index);
    if (tail.end_offset - found.base_offset > INT32_MAX)
        return; /* no segment spans more offsets than an entry can tell */
    if (tail.index_bytes > 0)
        index[wrong_place % (size_t)tail.index_bytes] ^= wrong_bits;
    CLAIM(pwrite(index_fd, index, (size_t)tail.index_bytes, 0) == tail.index_bytes);
}

/* Go to one of the records. A rotten index may lead to something that is no batch: then it says so, or that is damage. */
static void check_finding(int fd, int index_fd, size_t block_bytes, size_t chosen, int is_rotten) {
    el_reader *reader = reader_at(fd, block_bytes, 0);
    reader->segment.base_offset = found.base_offset;
    reader->segment.index_fd = index_fd;
    CLAIM(el_reader_find(reader, found.offsets[chosen]) || is_rotten);
    int result = load(reader, found.stop);
    el_record record;
    CLAIM(result == 1 || (is_rotten && result < 0));
    if (result == 1)
        CLAIM(el_reader_next(reader, found.stop, &record) == 1 && is_same_record(&record, &found.records[chosen]));
    el_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1, index_fd;
    if (fd < 0)
        CLAIM((fd = memfd_create("log", 0)) >= 0 && (index_fd = memfd_create("index", 0)) >= 0);
    unsigned choices = take_byte(&data, &size);
    size_t block_bytes = 1 + 4 * (size_t)take_byte(&data, &size);
    int64_t skipped = take_byte(&data, &size) % 64, wanted = take_byte(&data, &size);
    uint8_t needle_byte = take_byte(&data, &size), wrong_bits = take_byte(&data, &size), chosen = take_byte(&data, &size);
    uint8_t *copy = exact_copy(data, size);
    seal_batches(copy, size, choices);
    CLAIM(ftruncate(fd, 0) == 0 && pwrite(fd, copy, size, 0) == (ssize_t)size);
    el_batch first = {0};
    int is_batch = el_batch_parse(copy, size, &first) == EL_CODEC_OK && first.base_offset < INT64_MAX - 512;
    int64_t base = is_batch ? first.base_offset : 0;
    found = (walk){.data = copy, .size = size, .base_offset = base, .allow_gaps = (choices & 4) != 0};
    found.next_offset = base + skipped;
    found.stop = choices & 8 ? INT64_MAX : base + skipped + wanted;
    walk_file(&found);
    check_reading(fd, block_bytes, base + skipped);
    el_needle needle;
    el_needle_prepare(&needle, &needle_byte, NULL, 1);
    if (!found.is_wrong)
        check_searching(fd, block_bytes, base + skipped, &needle, 1 + choices % EL_SEARCH_HEADERS);
    int has_order = (choices & SEAL_OFFSETS) != 0 && base < INT32_MAX; /* behind the stop, too */
    int is_indexable = found.count > 0 && found.offsets[found.count - 1] - base <= INT32_MAX;
    if (has_order && !found.is_wrong && is_indexable) {
        CLAIM(ftruncate(index_fd, 0) == 0);
        write_index(index_fd, chosen, wrong_bits, needle_byte);
        check_finding(fd, index_fd, block_bytes, chosen % found.count, wrong_bits != 0);
    }
    free(copy);
    return 0;
}
