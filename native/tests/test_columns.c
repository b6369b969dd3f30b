/* Columns of records in memory: what is measured is what is filled in, and what is wrong ends them before it. */

#include <string.h>

#include "../store/columns.h"
#include "check.h"

#define RECORDS 10

static const el_columns all_records = {.since = INT64_MIN, .until = INT64_MAX};

static uint8_t section[1024];

/* A section of ten records: the key is null but for the fourth, every third value is null, the others have i bytes. */
static size_t put_records(el_batch *batch) {
    el_batch_writer writer;
    el_batch_begin(&writer, section, sizeof section);
    for (int i = 0; i < RECORDS; i++)
        CHECK(el_batch_add(&writer, 1000 + i, (const uint8_t *)"key", i == 4 ? 3 : -1, (const uint8_t *)"0123456789",
                           i % 3 == 0 ? -1 : i, NULL, 0, 0) == EL_CODEC_OK);
    size_t size = el_batch_finish(&writer, 0);
    CHECK(el_batch_parse(section, size, batch) == EL_CODEC_OK);
    batch->base_offset = 50;
    return size - EL_BATCH_HEADER_BYTES;
}

/* Exactly the memory that was measured, so that a sanitizer sees a byte too many. */
static void allocate_bytes(el_bytes_column *column, int64_t count) {
    column->data = malloc((size_t)column->data_bytes + (column->data_bytes == 0));
    column->ends = malloc(8 * (size_t)(count + 1));
    column->validity = column->null_count > 0 ? malloc((size_t)(count + 7) / 8) : NULL;
}

static void allocate(el_columns *columns) {
    columns->offsets = malloc(8 * (size_t)columns->count);
    columns->timestamps = malloc(8 * (size_t)columns->count);
    allocate_bytes(&columns->keys, columns->count);
    allocate_bytes(&columns->values, columns->count);
    if (columns->has_headers) {
        columns->headers.ends = malloc(8 * (size_t)(columns->count + 1));
        allocate_bytes(&columns->headers.names, columns->headers.count);
        allocate_bytes(&columns->headers.values, columns->headers.count);
    }
}

static void release_bytes(el_bytes_column *column) {
    free(column->data);
    free(column->ends);
    free(column->validity);
}

static void release(el_columns *columns) {
    free(columns->offsets);
    free(columns->timestamps);
    free(columns->headers.ends);
    release_bytes(&columns->keys);
    release_bytes(&columns->values);
    release_bytes(&columns->headers.names);
    release_bytes(&columns->headers.values);
}

static void test_all_records(void) {
    el_reader *reader = el_reader_new(4096);
    el_batch batch;
    size_t length = put_records(&batch);
    el_reader_decode(reader, &batch, section + EL_BATCH_HEADER_BYTES, length);
    el_columns columns = all_records;
    el_columns_measure(reader, 100, 1000, &columns);
    CHECK(columns.count == RECORDS && columns.keys.data_bytes == 3 && columns.keys.null_count == 9);
    CHECK(columns.values.data_bytes == 1 + 2 + 4 + 5 + 7 + 8 && columns.values.null_count == 4);
    allocate(&columns);
    CHECK(el_columns_fill(reader, 1000, &columns) == 0);
    CHECK(columns.offsets[0] == 50 && columns.offsets[9] == 59 && columns.timestamps[9] == 1009);
    CHECK(columns.keys.validity[0] == 0x10 && columns.keys.validity[1] == 0 && memcmp(columns.keys.data, "key", 3) == 0);
    CHECK(columns.values.validity[0] == 0xb6 && columns.values.validity[1] == 0x01);
    CHECK(columns.values.ends[0] == 0 && columns.values.ends[3] == 3 && columns.values.ends[RECORDS] == 27);
    CHECK(memcmp(columns.values.data, "001012301234012345601234567", 27) == 0);
    release(&columns);
    el_columns_measure(reader, 100, 1000, &columns);
    CHECK(columns.count == 0 && el_columns_fill(reader, 1000, &columns) == 0);
    el_reader_free(reader);
}

static void test_a_part_and_the_rest(void) {
    el_reader *reader = el_reader_new(4096);
    el_batch batch;
    size_t length = put_records(&batch);
    el_reader_decode(reader, &batch, section + EL_BATCH_HEADER_BYTES, length);
    reader->next_offset = 51;
    int64_t offset = 51;
    for (el_columns columns = all_records; el_columns_measure(reader, 3, 58, &columns), columns.count > 0; release(&columns)) {
        CHECK(columns.count == (offset == 57 ? 1 : 3));
        allocate(&columns);
        CHECK(el_columns_fill(reader, 58, &columns) == 0 && columns.offsets[0] == offset);
        offset += columns.count;
    }
    CHECK(offset == 58);
    el_reader_free(reader);
}

static void test_a_malformed_record_ends_them(void) {
    el_reader *reader = el_reader_new(4096);
    el_batch batch;
    size_t length = put_records(&batch) - 1; /* the last record is cut short */
    el_reader_decode(reader, &batch, section + EL_BATCH_HEADER_BYTES, length);
    el_columns columns = all_records;
    el_columns_measure(reader, 100, 1000, &columns);
    CHECK(columns.count == RECORDS - 1);
    allocate(&columns);
    CHECK(el_columns_fill(reader, 1000, &columns) == 0);
    release(&columns);
    el_columns_measure(reader, 100, 1000, &columns);
    CHECK(columns.count == 0 && el_columns_fill(reader, 1000, &columns) == -1);
    CHECK(reader->codec_status == EL_CODEC_BAD_RECORD);
    el_reader_free(reader);
}

static void test_records_of_a_time(void) {
    el_reader *reader = el_reader_new(4096);
    el_batch batch;
    size_t length = put_records(&batch);
    el_reader_decode(reader, &batch, section + EL_BATCH_HEADER_BYTES, length);
    el_columns columns = {.since = 1003, .until = 1005};
    el_columns_measure(reader, 100, 1000, &columns);
    CHECK(columns.count == 2 && columns.passed == RECORDS && columns.keys.null_count == 1);
    allocate(&columns);
    CHECK(el_columns_fill(reader, 1000, &columns) == 0);
    CHECK(columns.offsets[0] == 53 && columns.timestamps[1] == 1004 && columns.values.ends[2] == 4);
    release(&columns);
    el_reader_decode(reader, &batch, section + EL_BATCH_HEADER_BYTES, length);
    reader->next_offset = 0;
    columns.since = 2000;
    el_columns_measure(reader, 100, 1000, &columns);
    CHECK(columns.count == 0 && columns.passed == RECORDS);
    CHECK(el_columns_fill(reader, 1000, &columns) == 0 && reader->next_offset == 60);
    el_reader_free(reader);
}

static size_t add_header(uint8_t *out, const char *name, size_t length, const char *value) {
    return el_header_write(out, (const uint8_t *)name, (int64_t)length, (const uint8_t *)value, value == NULL ? -1 : (int64_t)strlen(value));
}

/* Two records with headers, and one without. `cut` bytes are taken from the end of those of the second. */
static size_t put_headers(el_batch *batch, size_t cut) {
    uint8_t first[256], second[64];
    size_t length = add_header(first, "ok", 2, "v");
    length += add_header(first + length, "", 0, NULL);
    length += add_header(first + length, "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", 9, "");
    length += add_header(first + length, "\xc3(\xff\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80\xe2\x82", 14, NULL);
    size_t second_length = add_header(second, "ok", 2, "w") - cut;
    el_batch_writer writer;
    el_batch_begin(&writer, section, sizeof section);
    CHECK(el_batch_add(&writer, 1, NULL, -1, NULL, -1, first, length, 4) == EL_CODEC_OK);
    CHECK(el_batch_add(&writer, 2, NULL, -1, NULL, -1, second, second_length, 1) == EL_CODEC_OK);
    CHECK(el_batch_add(&writer, 3, NULL, -1, NULL, -1, NULL, 0, 0) == EL_CODEC_OK);
    size_t size = el_batch_finish(&writer, 0);
    CHECK(el_batch_parse(section, size, batch) == EL_CODEC_OK);
    batch->base_offset = 0;
    return size - EL_BATCH_HEADER_BYTES;
}

static void test_headers(void) {
    el_reader *reader = el_reader_new(4096);
    el_batch batch;
    size_t length = put_headers(&batch, 0);
    el_reader_decode(reader, &batch, section + EL_BATCH_HEADER_BYTES, length);
    el_columns columns = all_records;
    columns.has_headers = 1;
    el_columns_measure(reader, 100, 1000, &columns);
    CHECK(columns.count == 3 && columns.headers.count == 5 && columns.headers.values.null_count == 2);
    allocate(&columns);
    CHECK(el_columns_fill(reader, 1000, &columns) == 0);
    const el_header_columns *headers = &columns.headers;
    CHECK(headers->ends[0] == 0 && headers->ends[1] == 4 && headers->ends[2] == 5 && headers->ends[3] == 5);
    static const char names[] = "ok\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80?(????\?\?\?\?\?\?\?\?ok";
    CHECK(headers->names.data_bytes == sizeof names - 1 && memcmp(headers->names.data, names, sizeof names - 1) == 0);
    CHECK(headers->names.ends[5] == sizeof names - 1 && headers->values.validity[0] == 0x15);
    CHECK(memcmp(headers->values.data, "vw", 2) == 0 && headers->values.ends[5] == 2);
    release(&columns);
    el_reader_free(reader);
}

static void test_malformed_headers_end_them(void) {
    el_reader *reader = el_reader_new(4096);
    el_batch batch;
    size_t length = put_headers(&batch, 1);
    el_reader_decode(reader, &batch, section + EL_BATCH_HEADER_BYTES, length);
    el_columns columns = all_records;
    columns.has_headers = 1;
    el_columns_measure(reader, 100, 1000, &columns);
    CHECK(columns.count == 1 && columns.passed == 1);
    allocate(&columns);
    CHECK(el_columns_fill(reader, 1000, &columns) == 0);
    release(&columns);
    el_columns_measure(reader, 100, 1000, &columns);
    CHECK(columns.passed == 0 && el_columns_fill(reader, 1000, &columns) == -1);
    CHECK(reader->codec_status == EL_CODEC_BAD_RECORD);
    el_reader_free(reader);
}

int main(void) {
    test_all_records();
    test_a_part_and_the_rest();
    test_a_malformed_record_ends_them();
    test_records_of_a_time();
    test_headers();
    test_malformed_headers_end_them();
    return DONE();
}
