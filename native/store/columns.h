/* Checked records of a reader as columns: each field of all records in a row, in the layout of Apache Arrow
 * (https://arrow.apache.org/docs/format/Columnar.html, LargeBinary), so that programs can use them without a copy.
 *
 * The memory is the caller's: el_columns_measure says how much is needed. */

#ifndef EVENTLOG_STORE_COLUMNS_H
#define EVENTLOG_STORE_COLUMNS_H

#include <stdint.h>

#include "reader.h"

/* Keys or values. Item i is data[ends[i]] up to, not including, data[ends[i + 1]]; it is null where bit i of validity is 0. */
typedef struct el_bytes_column {
    int64_t data_bytes;
    int64_t null_count;
    uint8_t *data;     /* data_bytes */
    int64_t *ends;     /* count + 1 */
    uint8_t *validity; /* a bit for each record, the lowest first; NULL if none is null */
} el_bytes_column;

typedef struct el_columns {
    int64_t count;
    int64_t *offsets;
    int64_t *timestamps;
    el_bytes_column keys;
    el_bytes_column values;
} el_columns;

/* Fill in the count of the next checked records below stop_offset, max_records at most, and data_bytes and null_count of their keys and
 * values. The reader stays where it is. The count is 0 if there are none, or if the first is malformed. */
void el_columns_measure(const el_reader *reader, int64_t max_records, int64_t stop_offset, el_columns *columns);

/* Copy the records that were measured, and move the reader behind them. 0, or -1 if none was measured because the next is malformed
 * (reader->codec_status). */
int el_columns_fill(el_reader *reader, int64_t stop_offset, el_columns *columns);

#endif
