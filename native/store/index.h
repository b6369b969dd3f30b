/* Which batches get entries in the two sparse indexes of a segment. Appends and recovery use the same rule, so a rebuilt index equals the
 * one that was lost.
 *
 * .index:      i32 relative last offset of a batch | i32 its position
 * .timeindex:  i64 largest timestamp so far        | i32 relative last offset of the batch that holds it */

#ifndef EVENTLOG_STORE_INDEX_H
#define EVENTLOG_STORE_INDEX_H

#include "../codec/batch.h"
#include "head.h"

#define EL_INDEX_ENTRY_BYTES 8
#define EL_TIME_INDEX_ENTRY_BYTES 12

typedef struct el_index_entry {
    int32_t relative_offset;
    int32_t position;
} el_index_entry;

el_index_entry el_index_read(const uint8_t *bytes);

/* Count a batch that begins at tail->position and ends with last_offset. Returns 1, with the entry filled in, if it gets an index entry. */
int el_index_note(el_tail *tail, const el_batch *batch, int64_t last_offset, int64_t interval_bytes, uint8_t *entry);

/* Fill in the time index entry that is due now. 0 if none is, because the largest timestamp has not grown since the last one. */
int el_time_index_due(el_tail *tail, uint8_t *entry);

/* The last entry of a file whose key, the big-endian number in its first `key_bytes` (4 or 8), is at most `key`. 1 with the entry
 * filled in, or 0 if there is none, or the file cannot be read. If all keys are known to rise about evenly between 0 and `keys_end`,
 * one read is mostly enough; keys_end is 0 if that is not known. */
int el_index_floor(int fd, size_t entry_bytes, size_t key_bytes, int64_t key, int64_t keys_end, uint8_t *entry);

/* Rebuild the entries of `length` bytes of whole, checked batches that begin at tail->position. They are stored at index and time_index,
 * which have room for one entry per batch; their sizes are added to the tail. */
void el_index_rebuild(const uint8_t *batches, size_t length, int64_t interval_bytes, el_tail *tail, uint8_t *index,
                      uint8_t *time_index);

#endif
