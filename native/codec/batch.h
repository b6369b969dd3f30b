/* RecordBatch v2 ("magic 2"), the only unit that stands in a .log file.
 *
 * Source of the format: Apache Kafka, "Record Batch" in the protocol guide
 * (https://kafka.apache.org/documentation/#recordbatch), and
 * org.apache.kafka.common.record.DefaultRecordBatch / DefaultRecord.
 *
 *   byte   0  baseOffset            i64   not covered by the checksum
 *          8  batchLength           i32   bytes that follow this field
 *         12  partitionLeaderEpoch  i32   not covered by the checksum
 *         16  magic                 i8    2
 *         17  crc                   u32   CRC32C of everything from byte 21
 *         21  attributes            i16
 *         23  lastOffsetDelta       i32
 *         27  baseTimestamp         i64
 *         35  maxTimestamp          i64
 *         43  producerId            i64   -1: none
 *         51  producerEpoch         i16   -1: none
 *         53  baseSequence          i32   -1: none
 *         57  recordCount           i32
 *         61  records               compressed as one block when attributes say so
 *
 * All integers are big-endian. A record is
 *
 *   length varint | attributes i8 | timestampDelta varlong | offsetDelta varint
 *   | keyLength varint (-1: null) | key | valueLength varint (-1: null) | value
 *   | headerCount varint | { keyLength varint | key | valueLength varint (-1: null) | value }
 *
 * with zig-zag varints. This half of the C code is pure: bytes in, bytes out. It
 * allocates nothing, does no I/O and knows nothing of Python. */

#ifndef EVENTLOG_CODEC_BATCH_H
#define EVENTLOG_CODEC_BATCH_H

#include <stddef.h>
#include <stdint.h>

#define EL_BATCH_HEADER_BYTES 61
#define EL_BATCH_LENGTH_END 12 /* baseOffset and batchLength are not counted in batchLength */
#define EL_MAGIC 2

#define EL_ATTRIBUTE_COMPRESSION 0x07
#define EL_ATTRIBUTE_LOG_APPEND_TIME 0x08
#define EL_ATTRIBUTE_TRANSACTIONAL 0x10
#define EL_ATTRIBUTE_CONTROL 0x20

/* What a parser can say of bytes. Text for people: el_codec_status_text(). */
enum el_codec_status {
    EL_CODEC_OK = 0,
    EL_CODEC_INCOMPLETE,   /* the bytes end before the batch does */
    EL_CODEC_ZEROS,        /* a zeroed header: the preallocated tail, never a batch */
    EL_CODEC_BAD_OFFSET,   /* negative base offset or last offset delta, or an overflow */
    EL_CODEC_BAD_LENGTH,   /* batchLength too small to hold a header */
    EL_CODEC_BAD_MAGIC,    /* another magic than 2 */
    EL_CODEC_BAD_CHECKSUM, /* CRC32C does not match */
    EL_CODEC_BAD_COUNT,    /* record count does not fit the bytes or the offset range */
    EL_CODEC_BAD_RECORD,   /* a record's own lengths contradict each other */
    EL_CODEC_NO_ROOM,      /* writer only: the buffer cannot take the record */
};

const char *el_codec_status_text(int status);

typedef struct el_batch {
    int64_t base_offset;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int64_t size_bytes; /* the whole batch: batchLength + 12 */
    uint32_t crc;
    int32_t leader_epoch;
    int32_t last_offset_delta;
    int32_t base_sequence;
    int32_t record_count;
    int16_t attributes;
    int16_t producer_epoch;
} el_batch;

/* Parse the header at `data`. EL_CODEC_INCOMPLETE with batch->size_bytes == 0 means that
 * fewer than 61 bytes are there; with size_bytes > 0 the header is sound and parsed but
 * `available` is less than size_bytes. Never reads past available. */
int el_batch_parse(const uint8_t *data, size_t available, el_batch *batch);

/* Compare the checksum of a batch whose size_bytes bytes are all at `data`. */
int el_batch_verify(const uint8_t *data, const el_batch *batch);

/* Verify the structure of every record of an uncompressed records section: lengths nest,
 * counts agree, offset deltas rise and stay within last_offset_delta. `records` is the section (for
 * a compressed batch: after decompression). */
int el_batch_verify_records(const uint8_t *records, size_t length, const el_batch *batch);

typedef struct el_record {
    int64_t timestamp_delta;
    int32_t offset_delta;
    const uint8_t *key;   /* NULL: null key */
    const uint8_t *value; /* NULL: null value */
    int32_t key_length;   /* -1: null */
    int32_t value_length; /* -1: null */
    const uint8_t *headers; /* the encoded headers, after the count */
    size_t headers_length;
    int32_t header_count;
} el_record;

/* Read the record at *cursor and move *cursor behind it. Every length is checked against
 * `end` before it is believed. */
int el_record_next(const uint8_t **cursor, const uint8_t *end, el_record *record);

/* Move *cursor behind the record there by its length alone. */
int el_record_skip(const uint8_t **cursor, const uint8_t *end);

typedef struct el_header {
    const uint8_t *key;
    const uint8_t *value; /* NULL: null */
    int32_t key_length;
    int32_t value_length; /* -1: null */
} el_header;

int el_header_next(const uint8_t **cursor, const uint8_t *end, el_header *header);

/* Do the encoded headers of a record hold as many as it says, and nothing else? */
int el_record_verify_headers(const el_record *record);

/* Writes one batch into a caller's buffer. The base offset is 0 until the batch is placed. */
typedef struct el_batch_writer {
    uint8_t *data;
    size_t capacity;
    size_t length; /* bytes used, header included */
    int64_t base_timestamp;
    int64_t max_timestamp;
    int32_t record_count;
} el_batch_writer;

/* Bytes that one record takes at most, whatever its deltas are. */
size_t el_record_size_max(int64_t key_length, int64_t value_length, size_t headers_length);

/* Bytes of one encoded header; lengths of -1 mean null. */
size_t el_header_size(int64_t key_length, int64_t value_length);
/* Encode one header at `out` (which has el_header_size bytes) and return its size. */
size_t el_header_write(uint8_t *out, const uint8_t *key, int64_t key_length, const uint8_t *value, int64_t value_length);

void el_batch_begin(el_batch_writer *writer, uint8_t *data, size_t capacity);

/* Add a record; EL_CODEC_NO_ROOM leaves the writer as it was. A length of -1 means null.
 * `headers` are already encoded with el_header_write. */
int el_batch_add(el_batch_writer *writer, int64_t timestamp, const uint8_t *key, int64_t key_length,
                 const uint8_t *value, int64_t value_length, const uint8_t *headers, size_t headers_length,
                 int32_t header_count);

/* Fill in the header (no producer id, epoch or sequence), compute the checksum, and return the size of the
 * batch. With EL_ATTRIBUTE_LOG_APPEND_TIME in attributes, max_timestamp is the append time. */
size_t el_batch_finish(el_batch_writer *writer, int16_t attributes);

/* Complete a batch whose records section (compressed, perhaps) is already at data + 61: fills in every
 * header field from `batch` (base_offset and leader_epoch too; size_bytes gives the length), computes the checksum,
 * stores it in batch->crc. */
void el_batch_seal(uint8_t *data, el_batch *batch);

/* Set the base offset and the leader epoch of a finished batch. Neither is covered by the checksum. */
void el_batch_place(uint8_t *data, int64_t base_offset, int32_t leader_epoch);

/* Where scanning a run of batches came to an end. */
typedef struct el_scan {
    int64_t valid_bytes;      /* batches up to here are whole and right */
    int64_t next_offset;      /* last offset of the last right batch, plus one */
    int64_t batch_count;
    int64_t record_count;
    int64_t max_timestamp;    /* -1: none seen */
    int64_t max_timestamp_offset; /* last offset of the batch that holds it */
    int64_t needed_bytes;     /* with EL_CODEC_INCOMPLETE: size of the batch that did not fit, 0 if unknown */
    int32_t last_leader_epoch; /* -1: none seen */
    int32_t status;           /* why it ended: EL_CODEC_OK at the end of the bytes */
} el_scan;

/* Validate batch after batch: header, checksum, offsets (each base offset is next_offset) and, if the batch is not
 * compressed, every record. Initialise *scan with el_scan_begin; call again with further bytes to go on: valid_bytes counts on
 * and `data` must then be the bytes that follow the valid ones. Returns scan->status. */
void el_scan_begin(el_scan *scan, int64_t next_offset);
int el_scan_batches(const uint8_t *data, size_t length, el_scan *scan);

/* Position of the first whole, right batch with base_offset >= next_offset that starts at any byte in data, or -1. Tells a torn
 * tail (nothing behind it) from damage (good batches behind it). */
int64_t el_find_batch(const uint8_t *data, size_t length, int64_t next_offset);

#endif
