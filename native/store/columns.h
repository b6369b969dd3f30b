/* Checked records of a reader as columns: each field of all records in a row, in the layout of Apache Arrow
 * (https://arrow.apache.org/docs/format/Columnar.html, LargeBinary and LargeList), so that programs can use them without a copy.
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

/* Headers. Those of record i are the names and values ends[i] up to, not including, ends[i + 1]. Names are UTF-8: what is not has "?" in
 * place of each byte that is wrong. */
typedef struct el_header_columns {
    int64_t count;
    int64_t *ends; /* one more than there are records */
    el_bytes_column names;
    el_bytes_column values;
} el_header_columns;

typedef struct el_columns {
    /* Set by the caller before it measures: records with a timestamp before `since`, or not before `until`, are left out. */
    int64_t since;
    int64_t until;
    int32_t has_headers;
    /* What is there. */
    int64_t count;
    int64_t passed; /* the records that were measured, with those that were left out */
    int64_t *offsets;
    int64_t *timestamps;
    el_bytes_column keys;
    el_bytes_column values;
    el_header_columns headers;
} el_columns;

/* Fill in the count of the next checked records below stop_offset, max_records at most, and data_bytes and null_count of their keys and
 * values, and of the names and values of their headers. The reader stays where it is. The count is 0 if there are none, if all are left
 * out, or if the first is malformed. */
void el_columns_measure(const el_reader *reader, int64_t max_records, int64_t stop_offset, el_columns *columns);

/* Copy the records that were measured, and move the reader behind them. 0, or -1 if none was measured because the next is malformed
 * (reader->codec_status). */
int el_columns_fill(el_reader *reader, int64_t stop_offset, el_columns *columns);

#endif
