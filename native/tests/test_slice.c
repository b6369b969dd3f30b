/* Where slices of whole batches begin and end, in a file in memory. */

#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../codec/big_endian.h"
#include "../store/slice.h"
#include "check.h"

enum { BATCHES = 400, RECORDS = 3, BYTES_MAX = 1 << 24 };

static uint8_t data[1 << 20];
static int64_t positions[BATCHES + 1];

/* A file of batches with three records each; every seventh is large. */
static el_segment new_segment(int64_t base_offset) {
    static const uint8_t value[8192];
    size_t length = 0;
    for (int i = 0; i < BATCHES; i++) {
        el_batch_writer writer;
        el_batch_begin(&writer, data + length, sizeof data - length);
        for (int j = 0; j < RECORDS; j++)
            CHECK(el_batch_add(&writer, 1, NULL, -1, value, i % 7 == 6 ? 4000 : i % 50, NULL, 0, 0) == EL_CODEC_OK);
        positions[i] = (int64_t)length;
        size_t size = el_batch_finish(&writer, 0);
        el_batch_place(data + length, base_offset + i * RECORDS, 0);
        length += size;
    }
    positions[BATCHES] = (int64_t)length;
    int fd = memfd_create("log", 0);
    CHECK(fd >= 0 && write(fd, data, length) == (ssize_t)length && ftruncate(fd, (off_t)length + 100) == 0);
    return (el_segment){.base_offset = base_offset, .end_offset = INT64_MAX, .fd = fd, .index_fd = -1};
}

/* An index with an entry for every third batch. */
static int new_index(void) {
    int fd = memfd_create("index", 0);
    for (int i = 2; i < BATCHES; i += 3) {
        uint8_t entry[8];
        el_store_32(entry, (uint32_t)(i * RECORDS + RECORDS - 1));
        el_store_32(entry + 4, (uint32_t)positions[i]);
        CHECK(write(fd, entry, sizeof entry) == sizeof entry);
    }
    return fd;
}

static void test_every_offset_and_bound(int has_index) {
    el_segment segment = new_segment(1000);
    segment.index_fd = has_index ? new_index() : -1;
    int64_t end = 1000 + BATCHES * RECORDS;
    for (int64_t offset = 1000; offset < end; offset += 5)
        for (int64_t bytes_max = 0; bytes_max < 500000; bytes_max = bytes_max * 2 + 77) {
            el_slice slice;
            int64_t first = (offset - 1000) / RECORDS, last = first + 1;
            while (last < BATCHES && positions[last + 1] - positions[first] <= bytes_max)
                last++;
            CHECK(el_slice_find(&segment, offset, end, bytes_max, 1, 0, &slice) == EL_CODEC_OK);
            CHECK(slice.position == positions[first] && slice.length == positions[last] - positions[first]);
            CHECK(slice.first_offset == 1000 + first * RECORDS && slice.next_offset == 1000 + last * RECORDS);
            CHECK(el_slice_find(&segment, offset, end, bytes_max, 0, 0, &slice) == EL_CODEC_OK);
            int fits = positions[first + 1] - positions[first] <= bytes_max;
            CHECK(fits ? slice.length == positions[last] - positions[first] : slice.length == 0 && slice.next_offset == offset);
        }
    close(segment.fd);
}

static void test_a_stop_is_never_passed(void) {
    el_segment segment = new_segment(0);
    el_slice slice;
    segment.index_fd = new_index();
    for (int64_t stop = 1; stop <= BATCHES * RECORDS; stop++) {
        CHECK(el_slice_find(&segment, 0, stop, BYTES_MAX, 1, 0, &slice) == EL_CODEC_OK);
        CHECK(slice.length == positions[stop / RECORDS] && slice.next_offset == stop / RECORDS * RECORDS);
    }
    close(segment.fd);
}

static void test_the_end_of_the_file(void) {
    el_segment segment = new_segment(0);
    int64_t end = BATCHES * RECORDS;
    el_slice slice;
    CHECK(el_slice_find(&segment, end, end + 1, BYTES_MAX, 1, 0, &slice) == EL_CODEC_INCOMPLETE && slice.next_offset == end);
    CHECK(el_slice_find(&segment, end - 1, end + 1, BYTES_MAX, 1, 0, &slice) == EL_CODEC_OK && slice.next_offset == end);
    CHECK(ftruncate(segment.fd, positions[BATCHES] - 1) == 0); /* a batch that is not whole is for its reader to tell */
    CHECK(el_slice_find(&segment, end - 1, end, BYTES_MAX, 1, 0, &slice) == EL_CODEC_OK);
    CHECK(ftruncate(segment.fd, positions[BATCHES - 1] + 60) == 0);
    CHECK(el_slice_find(&segment, end - 1, end, BYTES_MAX, 1, 0, &slice) == EL_CODEC_INCOMPLETE);
    close(segment.fd);
}

static void test_offsets_out_of_order(void) {
    el_segment segment = new_segment(0);
    uint8_t offset[8];
    el_slice slice;
    el_store_64(offset, 4);
    CHECK(pwrite(segment.fd, offset, 8, positions[1]) == 8); /* where 3 should stand */
    CHECK(el_slice_find(&segment, 0, 100, BYTES_MAX, 1, 0, &slice) == EL_CODEC_OK && slice.next_offset == 3);
    CHECK(el_slice_find(&segment, 3, 100, BYTES_MAX, 1, 0, &slice) == EL_CODEC_BAD_OFFSET && slice.next_offset == 3);
    CHECK(slice.position == positions[1]);
    CHECK(el_slice_find(&segment, 3, 7, BYTES_MAX, 1, 1, &slice) == EL_CODEC_OK && slice.first_offset == 4);
    el_store_64(offset, 2);
    CHECK(pwrite(segment.fd, offset, 8, positions[1]) == 8);
    CHECK(el_slice_find(&segment, 3, 100, BYTES_MAX, 1, 1, &slice) == EL_CODEC_BAD_OFFSET);
    close(segment.fd);
}

static void test_an_index_helps_and_one_that_lies_does_no_harm(void) {
    el_segment segment = new_segment(0);
    uint8_t entry[8];
    el_slice slice;
    segment.index_fd = memfd_create("index", 0);
    el_store_32(entry, 200 * RECORDS - 1);
    el_store_32(entry + 4, (uint32_t)positions[199]);
    CHECK(pwrite(segment.index_fd, entry, 8, 0) == 8);
    CHECK(el_slice_find(&segment, 700, 900, BYTES_MAX, 1, 0, &slice) == EL_CODEC_OK && !slice.index_lies);
    CHECK(slice.position == positions[233] && slice.next_offset == 900);
    static const int64_t wrong[] = {1, -5, INT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        el_store_32(entry + 4, (uint32_t)(wrong[i] == 1 ? positions[199] + 1 : wrong[i]));
        CHECK(pwrite(segment.index_fd, entry, 8, 0) == 8);
        CHECK(el_slice_find(&segment, 700, 900, BYTES_MAX, 1, 0, &slice) == EL_CODEC_OK && slice.index_lies);
        CHECK(slice.position == positions[233] && slice.next_offset == 900);
    }
    close(segment.index_fd);
    close(segment.fd);
}

int main(void) {
    test_every_offset_and_bound(0);
    test_every_offset_and_bound(1);
    test_a_stop_is_never_passed();
    test_the_end_of_the_file();
    test_offsets_out_of_order();
    test_an_index_helps_and_one_that_lies_does_no_harm();
    return DONE();
}
