/* Whole batches as they are in a segment's file: where they begin and end, for callers that send or copy the bytes themselves.
 * Only headers are read; whoever reads the records has to check them. */

#ifndef EVENTLOG_STORE_SLICE_H
#define EVENTLOG_STORE_SLICE_H

#include <stdint.h>

#include "reader.h"

typedef struct el_slice {
    int64_t position; /* in the file; if something is wrong, where that is */
    int64_t length;   /* 0: no batch */
    int64_t first_offset; /* of the first batch */
    int64_t next_offset;  /* behind the last batch; without one, the offset that was asked for or, at the end of the file, the next one */
    int32_t index_lies;   /* no batch is where an entry of the index says */
} el_slice;

/* The batches of an open segment, from the one that holds `offset` or comes next, up to `stop_offset` and `bytes_max`; with `at_least_one`
 * the first batch even if it is larger. EL_CODEC_OK; EL_CODEC_INCOMPLETE if the file ends before one is found; or what is wrong with a
 * header or its offsets, which follow each other without gaps unless they are allowed. */
int el_slice_find(const el_segment *segment, int64_t offset, int64_t stop_offset, int64_t bytes_max, int at_least_one, int allow_gaps,
                  el_slice *slice);

/* Read the batches from `offset`, at this position, up to `stop_offset`, and check them, without waiting for the disk. 0 if they are not in
 * memory, do not fit, or are anything else than right: find and read them otherwise. `slice` is as above. */
int el_slice_read_at_once(const el_segment *segment, int64_t position, int64_t offset, int64_t stop_offset, uint8_t *out, size_t capacity,
                          el_slice *slice);

#endif
