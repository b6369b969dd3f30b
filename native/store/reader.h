/* The read path: blocks of a segment by pread into a buffer, batches checked there, records decoded from there.
 *
 *      0        cursor        verified           filled      capacity
 *      +-----------+-------------+------------------+------------+
 *      |  decoded  |  checked    |  read, not yet   |   room     |
 *      |           |  batches    |  checked         |            |
 *      +-----------+-------------+------------------+------------+
 *      ^ file position `position`
 *
 * What was checked is what is decoded: the bytes are this reader's own, whatever happens to the file. */

#ifndef EVENTLOG_STORE_READER_H
#define EVENTLOG_STORE_READER_H

#include <stddef.h>
#include <stdint.h>

#include "../codec/batch.h"
#include "../codec/search.h"
#include "../codec/transactions.h"

enum el_read_status {
    EL_READ_READY = 0,      /* checked, uncompressed batches are at the cursor */
    EL_READ_COMPRESSED,     /* one checked, compressed batch is at the cursor */
    EL_READ_END_OF_SEGMENT, /* no batch follows in this file */
    EL_READ_CORRUPT,        /* el_reader.codec_status and .error_position say what and where */
    EL_READ_IO_ERROR,       /* el_reader.error_number */
    EL_READ_NO_MEMORY,
    EL_READ_BUSY, /* records are being made from what was read before */
};

/* The segment that a reader goes through. */
typedef struct el_segment {
    int64_t base_offset;   /* -1: none is open */
    int64_t end_offset;    /* the base offset of the next segment, INT64_MAX for the last one ... */
    uint32_t list_version; /* ... in the list of segments with this version */
    int fd;
    int index_fd; /* -1: none is open */
} el_segment;

/* Is one open, and does the offset fall into it, if this is the version of the list of segments? */
int el_segment_holds(const el_segment *segment, int64_t offset, uint32_t list_version);

/* Close its files, or only its index. A caller that is interrupted as this returns may repeat it. */
void el_segment_close(el_segment *segment);
void el_segment_close_index(el_segment *segment);

typedef struct el_reader {
    el_segment segment; /* the caller opens it, and has it closed */
    uint8_t *buffer;
    uint8_t *data; /* in the buffer: where the byte at `position` is */
    size_t capacity;
    size_t filled;
    size_t verified;
    size_t cursor;
    size_t block_bytes;
    size_t ahead; /* how much the next read asks for: little behind a seek, and more and more up to a block */
    int64_t position;
    int64_t next_offset; /* records before it are skipped */
    int64_t settled_offset; /* bytes that were read ahead are final only below this offset */
    int64_t following_base; /* the base offset that the batch behind the checked ones must have: no checksum covers it */
    el_aborted_list aborted; /* records of these transactions are skipped; the caller holds the list */
    int allow_gaps;         /* set for compacted topics: it may be larger */
    int is_busy;            /* the bytes in the buffer are in use: they may not be overwritten */
    /* The records that are being decoded: in the buffer, or a decompressed section that the caller holds. */
    el_batch batch;
    const uint8_t *records;
    const uint8_t *records_end;
    int32_t previous_delta; /* of the record that was decoded last; -1: none in this batch yet */
    int codec_status;
    int error_number;
    int64_t error_position;
} el_reader;

el_reader *el_reader_new(size_t block_bytes);
void el_reader_free(el_reader *reader);

/* Go on at this position of the segment, where a batch with `base_offset` begins. */
void el_reader_seek(el_reader *reader, int64_t position, int64_t base_offset, int64_t next_offset);

/* Go on at `offset`, which falls into the segment: at the batch that holds it, or at an earlier one. The index, if it is open, is a hint:
 * an entry is believed only if its batch is there; 0 if it is not. */
int el_reader_find(el_reader *reader, int64_t offset);

/* Bring checked batches with records from next_offset on to the cursor. Batches at or behind end_offset are not read: they may be half
 * written. */
int el_reader_load(el_reader *reader, int64_t end_offset);

/* After EL_READ_COMPRESSED: where the compressed section is. */
const uint8_t *el_reader_compressed(const el_reader *reader, size_t *length);
/* Go on with its decompressed bytes, which must live until all of them are decoded. EL_READ_READY or EL_READ_CORRUPT. */
int el_reader_set_records(el_reader *reader, const uint8_t *records, size_t length);

/* Decode a section of records that the caller holds, as those of `batch`, without a file. */
void el_reader_decode(el_reader *reader, const el_batch *batch, const uint8_t *records, size_t length);

/* The next record below stop_offset. Returns 1; 0 if the checked batches are used up or stop_offset is reached; -1 if it is malformed. */
int el_reader_next(el_reader *reader, int64_t stop_offset, el_record *record);

/* As el_reader_next, but the next record that holds the needle in one of these fields. Other records are not decoded, unless the needle
 * is elsewhere in them, nor checked beyond the checksum of their batch. */
int el_reader_search(el_reader *reader, int64_t stop_offset, const el_needle *needle, unsigned fields, el_record *record);

/* The timestamp of the record that was decoded last. */
static inline int64_t el_reader_timestamp(const el_reader *reader, const el_record *record) {
    return (reader->batch.attributes & EL_ATTRIBUTE_LOG_APPEND_TIME) != 0
               ? reader->batch.max_timestamp
               : (int64_t)((uint64_t)reader->batch.base_timestamp + (uint64_t)record->timestamp_delta);
}

/* File position of the batch that is being decoded, or will be next. */
int64_t el_reader_batch_position(const el_reader *reader);

#endif
