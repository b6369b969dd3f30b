/* A file of any bytes with an index of any bytes: a slice is a run of headers that can be parsed, in order, and below the bounds that were
 * asked for. Only its last batch may go on behind the end of the file, which its reader finds. */

#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "../store/slice.h"
#include "fuzz.h"

static void check_slice(const uint8_t *data, size_t size, const el_slice *slice, int64_t offset, int64_t stop, int64_t bytes_max,
                        int at_least_one) {
    CLAIM(slice->position >= 0 && slice->position <= (int64_t)size && slice->length >= 0);
    int64_t at = slice->position, end = at + slice->length, next_offset = -1, batches = 0;
    while (at < end) {
        el_batch batch;
        CLAIM(at < (int64_t)size);
        int status = el_batch_parse(data + at, size - (size_t)at, &batch);
        CLAIM(batch.size_bytes > 0 && batch.base_offset >= next_offset);
        CLAIM(status == EL_CODEC_OK || at + batch.size_bytes == end);
        CLAIM(next_offset >= 0 || batch.base_offset == slice->first_offset);
        next_offset = batch.base_offset + batch.last_offset_delta + 1;
        at += batch.size_bytes;
        batches++;
    }
    CLAIM(at == end);
    if (batches == 0)
        return;
    CLAIM(next_offset == slice->next_offset && next_offset > offset && next_offset <= stop);
    CLAIM(slice->length <= bytes_max || (batches == 1 && at_least_one));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1, index_fd;
    if (fd < 0)
        CLAIM((fd = memfd_create("log", 0)) >= 0 && (index_fd = memfd_create("index", 0)) >= 0);
    unsigned choices = take_byte(&data, &size);
    int64_t offset = take_byte(&data, &size), stop = offset + take_byte(&data, &size), bytes_max = take_byte(&data, &size) * 8;
    int is_long = choices & 16; /* enough for the index to lead over batches, which are not read then */
    bytes_max *= is_long ? 128 : 1;
    size_t index_bytes = (size_t)(take_byte(&data, &size) % 5) * 8;
    index_bytes = index_bytes < size ? index_bytes : 0;
    CLAIM(ftruncate(index_fd, 0) == 0 && pwrite(index_fd, data, index_bytes, 0) == (ssize_t)index_bytes);
    uint8_t *batches = exact_copy(data + index_bytes, size - index_bytes);
    size -= index_bytes;
    if (choices & 1)
        seal_batches(batches, size, SEAL_CHECKSUMS | SEAL_OFFSETS);
    CLAIM(ftruncate(fd, 0) == 0 && pwrite(fd, batches, size, 0) == (ssize_t)size);
    el_segment segment = {.end_offset = INT64_MAX, .fd = fd, .index_fd = choices & 2 ? index_fd : -1};
    el_slice slice;
    int at_least_one = (choices >> 2) & 1;
    int status = el_slice_find(&segment, offset, stop, bytes_max, at_least_one, (choices >> 3) & 1, &slice);
    if (status == EL_CODEC_OK && !is_long)
        check_slice(batches, size, &slice, offset, stop, bytes_max, at_least_one);
    free(batches);
    return 0;
}
