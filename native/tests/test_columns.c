/* Columns of records in memory: what is measured is what is filled in, and what is wrong ends them before it. */

#include <string.h>

#include "../store/columns.h"
#include "check.h"

#define RECORDS 10

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
static void allocate(el_columns *columns) {
    size_t count = (size_t)columns->count;
    columns->offsets = malloc(8 * count);
    columns->timestamps = malloc(8 * count);
    for (int i = 0; i < 2; i++) {
        el_bytes_column *column = i == 0 ? &columns->keys : &columns->values;
        column->data = malloc((size_t)column->data_bytes + (column->data_bytes == 0));
        column->ends = malloc(8 * (count + 1));
        column->validity = column->null_count > 0 ? malloc((count + 7) / 8) : NULL;
    }
}

static void release(el_columns *columns) {
    free(columns->offsets);
    free(columns->timestamps);
    free(columns->keys.data);
    free(columns->keys.ends);
    free(columns->keys.validity);
    free(columns->values.data);
    free(columns->values.ends);
    free(columns->values.validity);
}

static void test_all_records(void) {
    el_reader *reader = el_reader_new(4096);
    el_batch batch;
    size_t length = put_records(&batch);
    el_reader_decode(reader, &batch, section + EL_BATCH_HEADER_BYTES, length);
    el_columns columns;
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
    for (el_columns columns; el_columns_measure(reader, 3, 58, &columns), columns.count > 0; release(&columns)) {
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
    el_columns columns;
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

int main(void) {
    test_all_records();
    test_a_part_and_the_rest();
    test_a_malformed_record_ends_them();
    return DONE();
}
