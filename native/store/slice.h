/* Whole batches as they stand in a segment's file: where they begin and where they end, for who sends or copies the bytes themselves.
 * Only headers are looked at; what stands behind them is for who reads it to check. */

#ifndef EVENTLOG_STORE_SLICE_H
#define EVENTLOG_STORE_SLICE_H

#include <stdint.h>

#include "reader.h"

typedef struct el_slice {
    int64_t position; /* in the file; with a status that says what is wrong, where that stands */
    int64_t length;   /* 0: no batch */
    int64_t first_offset; /* of the first batch */
    int64_t next_offset;  /* behind the last one; without one, the offset that was looked for or, at the end of the file, that comes next */
    int32_t index_lies;   /* an entry of the index names no batch */
} el_slice;

/* The batches of an open segment from the one on that holds `offset` or comes next, up to `stop_offset` and `bytes_max`; with
 * `at_least_one` the first one also if it is larger. EL_CODEC_OK; EL_CODEC_INCOMPLETE if the file ends before any comes; or what is wrong
 * with a header or its offsets, which follow one another closely unless there may be gaps. */
int el_slice_find(const el_segment *segment, int64_t offset, int64_t stop_offset, int64_t bytes_max, int at_least_one, int allow_gaps,
                  el_slice *slice);

#endif
