#define _GNU_SOURCE /* preadv2 */

#include "slice.h"

#include <sys/stat.h>
#include <sys/uio.h>

#include "index.h"
#include "read.h"

#define AHEAD_BYTES 16384 /* one read brings the headers of many small batches ... */
#define LARGE_BATCH_BYTES 4096 /* ... but if batches are large, each header is read by itself */

/* The headers of a file, one after the other. */
typedef struct headers {
    int fd;
    int64_t position; /* of the current batch */
    int64_t next_offset; /* its base offset; if there may be gaps, it may be larger */
    el_batch batch;
    int64_t start; /* of what was read */
    size_t filled;
    uint8_t bytes[AHEAD_BYTES];
} headers;

static int64_t last_offset(const el_batch *batch) {
    return batch->base_offset + batch->last_offset_delta;
}

/* Parse the header at the position. EL_CODEC_INCOMPLETE: the file ends there, or the zeros begin that a segment may end in. */
static int parse(headers *headers, size_t ahead, int allow_gaps) {
    int64_t at = headers->position - headers->start;
    if (at < 0 || at + EL_BATCH_HEADER_BYTES > (int64_t)headers->filled) {
        headers->filled = el_read_at(headers->fd, headers->bytes, ahead, headers->position);
        headers->start = headers->position;
        at = 0;
    }
    int status = el_batch_parse(headers->bytes + at, headers->filled - (size_t)at, &headers->batch);
    if (headers->batch.size_bytes == 0)
        return status == EL_CODEC_ZEROS ? EL_CODEC_INCOMPLETE : status;
    int64_t base_offset = headers->batch.base_offset;
    int is_in_order = base_offset == headers->next_offset || (allow_gaps && base_offset > headers->next_offset);
    return is_in_order ? EL_CODEC_OK : EL_CODEC_BAD_OFFSET;
}

static void pass(headers *headers) {
    headers->position += headers->batch.size_bytes;
    headers->next_offset = last_offset(&headers->batch) + 1;
}

static size_t ahead_of(const headers *headers) {
    return headers->batch.size_bytes > LARGE_BATCH_BYTES ? EL_BATCH_HEADER_BYTES : AHEAD_BYTES;
}

/* Begin where the index says, if its entry names a batch that ends before the offset or holds it; 0 if it names none. */
static int begin(headers *headers, const el_segment *segment, int64_t offset) {
    uint8_t bytes[EL_INDEX_ENTRY_BYTES], header[EL_BATCH_HEADER_BYTES];
    int64_t offsets = segment->end_offset == INT64_MAX ? 0 : segment->end_offset - segment->base_offset;
    headers->next_offset = segment->base_offset;
    if (segment->index_fd < 0 ||
        !el_index_floor(segment->index_fd, sizeof bytes, sizeof(int32_t), offset - segment->base_offset, offsets, bytes))
        return 1;
    el_index_entry entry = el_index_read(bytes);
    size_t length = entry.position < 0 ? 0 : el_read_at(segment->fd, header, sizeof header, entry.position);
    el_batch_parse(header, length, &headers->batch);
    if (headers->batch.size_bytes == 0 || last_offset(&headers->batch) - segment->base_offset != entry.relative_offset)
        return 0;
    if (headers->batch.base_offset >= segment->base_offset) {
        headers->position = entry.position;
        headers->next_offset = headers->batch.base_offset;
    }
    return 1;
}

/* Read the last entry of an index whose position is at most `limit`; 0 if there is none. */
static int last_entry_up_to(int fd, int64_t limit, uint8_t *bytes) {
    struct stat file;
    int64_t low = 0, high = fstat(fd, &file) == 0 ? file.st_size / EL_INDEX_ENTRY_BYTES : 0;
    while (low < high) { /* entries before `low` are small enough, those from `high` on too large */
        int64_t middle = low + (high - low) / 2;
        int is_read = el_read_at(fd, bytes, EL_INDEX_ENTRY_BYTES, middle * EL_INDEX_ENTRY_BYTES) == EL_INDEX_ENTRY_BYTES;
        if (is_read && el_index_read(bytes).position <= limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && el_read_at(fd, bytes, EL_INDEX_ENTRY_BYTES, (low - 1) * EL_INDEX_ENTRY_BYTES) == EL_INDEX_ENTRY_BYTES;
}

/* Where many small batches fit, go to one near their end by the index: its entry must name a batch that comes next or later. */
static void jump(headers *headers, const el_segment *segment, int64_t stop_offset, int64_t limit) {
    uint8_t bytes[EL_INDEX_ENTRY_BYTES], header[EL_BATCH_HEADER_BYTES];
    if (segment->index_fd < 0 || limit - headers->position < AHEAD_BYTES || !last_entry_up_to(segment->index_fd, limit, bytes))
        return;
    el_index_entry entry = el_index_read(bytes);
    if (entry.position <= headers->position)
        return;
    el_batch batch;
    el_batch_parse(header, el_read_at(segment->fd, header, sizeof header, entry.position), &batch);
    if (batch.size_bytes > 0 && last_offset(&batch) - segment->base_offset == entry.relative_offset &&
        batch.base_offset >= headers->next_offset && batch.base_offset < stop_offset) {
        headers->position = entry.position;
        headers->next_offset = batch.base_offset;
    }
}

/* Take the current batch, and those behind it as far as they fit. */
static int extend(headers *headers, const el_segment *segment, int64_t stop_offset, int64_t bytes_max, int allow_gaps, el_slice *slice) {
    int status = EL_CODEC_OK, has_jumped = 0;
    do {
        pass(headers);
        if (!has_jumped && headers->next_offset < stop_offset)
            jump(headers, segment, stop_offset, slice->position + (bytes_max < INT32_MAX ? bytes_max : INT32_MAX));
        has_jumped = 1;
        slice->length = headers->position - slice->position;
        slice->next_offset = headers->next_offset;
        if (slice->next_offset >= stop_offset || slice->length >= bytes_max)
            return EL_CODEC_OK;
        status = parse(headers, ahead_of(headers), allow_gaps);
    } while (status == EL_CODEC_OK && last_offset(&headers->batch) < stop_offset &&
             slice->length + headers->batch.size_bytes <= bytes_max);
    return EL_CODEC_OK; /* what is wrong behind is reported to callers that begin there */
}

int el_slice_find(const el_segment *segment, int64_t offset, int64_t stop_offset, int64_t bytes_max, int at_least_one, int allow_gaps,
                  el_slice *slice) {
    headers headers;
    headers.fd = segment->fd;
    headers.position = headers.start = 0;
    headers.filled = 0;
    *slice = (el_slice){.first_offset = offset, .next_offset = offset};
    slice->index_lies = !begin(&headers, segment, offset);
    int status = parse(&headers, AHEAD_BYTES, allow_gaps);
    while (status == EL_CODEC_OK && last_offset(&headers.batch) < offset) {
        pass(&headers);
        status = parse(&headers, ahead_of(&headers), allow_gaps);
    }
    slice->position = headers.position;
    if (status != EL_CODEC_OK) {
        slice->next_offset = headers.next_offset;
        return status;
    }
    const el_batch *first = &headers.batch;
    if (last_offset(first) >= stop_offset || (first->size_bytes > bytes_max && !at_least_one))
        return EL_CODEC_OK;
    slice->first_offset = first->base_offset;
    return extend(&headers, segment, stop_offset, bytes_max, allow_gaps, slice);
}

int el_slice_read_at_once(const el_segment *segment, int64_t position, int64_t offset, int64_t stop_offset, uint8_t *out, size_t capacity,
                          el_slice *slice) {
    struct iovec into = {.iov_base = out, .iov_len = capacity};
    ssize_t filled = preadv2(segment->fd, &into, 1, position, RWF_NOWAIT);
    el_batch batch;
    *slice = (el_slice){.position = position, .first_offset = offset, .next_offset = offset};
    while (slice->length < filled && slice->next_offset < stop_offset) {
        const uint8_t *data = out + slice->length;
        if (el_batch_parse(data, (size_t)(filled - slice->length), &batch) != EL_CODEC_OK || batch.base_offset != slice->next_offset ||
            last_offset(&batch) >= stop_offset || el_batch_verify(data, &batch) != EL_CODEC_OK)
            return 0;
        slice->length += batch.size_bytes;
        slice->next_offset = last_offset(&batch) + 1;
    }
    return slice->next_offset == stop_offset;
}
