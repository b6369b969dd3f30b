#include "columns.h"

#include <string.h>

static void measure(el_bytes_column *column, int32_t length) {
    if (length < 0)
        column->null_count++;
    else
        column->data_bytes += length;
}

__attribute__((flatten)) void el_columns_measure(const el_reader *reader, int64_t max_records, int64_t stop_offset,
                                                 el_columns *columns) {
    el_reader ahead = *reader; /* decoding changes no more than the structure itself */
    el_record record;
    memset(columns, 0, sizeof *columns);
    while (columns->count < max_records && el_reader_next(&ahead, stop_offset, &record) == 1) {
        columns->count++;
        measure(&columns->keys, record.key_length);
        measure(&columns->values, record.value_length);
    }
}

static void begin(el_bytes_column *column, int64_t count) {
    column->ends[0] = 0;
    if (column->validity != NULL)
        memset(column->validity, 0, (size_t)(count + 7) / 8);
}

static inline void put(el_bytes_column *column, int64_t at, const uint8_t *bytes, int32_t length) {
    int64_t end = column->ends[at];
    if (length >= 0) {
        memcpy(column->data + end, bytes, (size_t)length);
        if (column->validity != NULL)
            column->validity[at / 8] |= (uint8_t)(1 << at % 8);
        end += length;
    }
    column->ends[at + 1] = end;
}

__attribute__((flatten)) int el_columns_fill(el_reader *reader, int64_t stop_offset, el_columns *columns) {
    el_record record;
    if (columns->count == 0)
        return el_reader_next(reader, stop_offset, &record);
    begin(&columns->keys, columns->count);
    begin(&columns->values, columns->count);
    for (int64_t at = 0; at < columns->count; at++) {
        el_reader_next(reader, stop_offset, &record);
        columns->offsets[at] = reader->batch.base_offset + record.offset_delta;
        columns->timestamps[at] = el_reader_timestamp(reader, &record);
        put(&columns->keys, at, record.key, record.key_length);
        put(&columns->values, at, record.value, record.value_length);
    }
    return 0;
}
