/* The reader and files that somebody made with care: right checksums over wrong lengths, counts and offsets. */

#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../store/reader.h"
#include "check.h"

#define BLOCK_BYTES 4096

static uint8_t data[1024];

/* A batch of three records of the same size at `base_offset`, sealed again after `last_offset_delta` was set. */
static size_t put_batch(int64_t base_offset, int32_t last_offset_delta) {
    el_batch_writer writer;
    el_batch_begin(&writer, data, sizeof data);
    for (int i = 0; i < 3; i++)
        CHECK(el_batch_add(&writer, 1000, NULL, -1, (const uint8_t *)"value", 5, NULL, 0, 0) == EL_CODEC_OK);
    size_t size = el_batch_finish(&writer, 0);
    el_batch batch;
    CHECK(el_batch_parse(data, size, &batch) == EL_CODEC_OK);
    batch.base_offset = base_offset;
    batch.last_offset_delta = last_offset_delta;
    el_batch_seal(data, &batch);
    return size;
}

/* Change the offset delta of a record, and make the checksum right again. */
static void set_offset_delta(size_t size, int record, uint8_t delta) {
    size_t record_bytes = (size - EL_BATCH_HEADER_BYTES) / 3;
    data[EL_BATCH_HEADER_BYTES + (size_t)record * record_bytes + 3] = (uint8_t)(2 * delta);
    el_batch batch;
    CHECK(el_batch_parse(data, size, &batch) == EL_CODEC_OK);
    el_batch_seal(data, &batch);
}

/* How many records are read of the file that `size` bytes of data are; `*more` is how that ended. */
static int read_all(size_t size, int64_t base_offset, int64_t stop_offset, int *more, el_reader *reader) {
    int fd = memfd_create("log", 0), count = 0;
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    reader->segment.fd = fd;
    el_reader_seek(reader, 0, base_offset, base_offset);
    el_record record;
    CHECK(el_reader_load(reader, stop_offset) == EL_READ_READY);
    while ((*more = el_reader_next(reader, stop_offset, &record)) == 1)
        count++;
    close(fd);
    return count;
}

static void test_a_record_outside_its_batch_is_damage(void) {
    el_reader *reader = el_reader_new(BLOCK_BYTES);
    int more;
    size_t size = put_batch(10, 2);
    CHECK(read_all(size, 10, 100, &more, reader) == 3 && more == 0);
    set_offset_delta(size, 2, 3);
    CHECK(read_all(size, 10, 100, &more, reader) == 2 && more == -1 && reader->codec_status == EL_CODEC_BAD_OFFSET);
    CHECK(reader->error_position == 0);
    el_reader_free(reader);
}

static void test_an_offset_that_does_not_rise_hides_no_record(void) {
    el_reader *reader = el_reader_new(BLOCK_BYTES);
    int more;
    size_t size = put_batch(10, 2);
    set_offset_delta(size, 2, 1);
    CHECK(read_all(size, 10, 100, &more, reader) == 2 && more == -1 && reader->codec_status == EL_CODEC_BAD_OFFSET);
    el_reader_free(reader);
}

static void test_offsets_at_the_end_of_their_range_do_not_overflow(void) {
    el_reader *reader = el_reader_new(BLOCK_BYTES);
    int more;
    int64_t base_offset = INT64_MAX - 3;
    size_t size = put_batch(base_offset, 2);
    CHECK(read_all(size, base_offset, INT64_MAX, &more, reader) == 3 && more == 0);
    set_offset_delta(size, 2, 50);
    CHECK(read_all(size, base_offset, INT64_MAX, &more, reader) == 2 && more == -1);
    el_reader_free(reader);
}

static void test_a_batch_longer_than_its_file_takes_no_memory(void) {
    el_reader *reader = el_reader_new(BLOCK_BYTES);
    size_t size = put_batch(10, 2);
    memcpy(data + 8, "\x7f\xff\xff\xff", 4);
    int fd = memfd_create("log", 0);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    reader->segment.fd = fd;
    el_reader_seek(reader, 0, 10, 10);
    CHECK(el_reader_load(reader, 100) == EL_READ_CORRUPT && reader->codec_status == EL_CODEC_INCOMPLETE);
    CHECK(reader->capacity == BLOCK_BYTES);
    close(fd);
    el_reader_free(reader);
}

int main(void) {
    test_a_record_outside_its_batch_is_damage();
    test_an_offset_that_does_not_rise_hides_no_record();
    test_offsets_at_the_end_of_their_range_do_not_overflow();
    test_a_batch_longer_than_its_file_takes_no_memory();
    return DONE();
}
