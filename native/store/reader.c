#define _GNU_SOURCE
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../codec/assertions.h"
#include "index.h"
#include "read.h"

#define AHEAD_BYTES_MIN 4096
#define AHEAD_GROWTH 4

el_reader *el_reader_new(size_t block_bytes) {
    el_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->buffer = reader->data = malloc(block_bytes + EL_PAGE_BYTES);
    if (reader->buffer == NULL) {
        free(reader);
        return NULL;
    }
    reader->capacity = reader->block_bytes = block_bytes;
    reader->segment = (el_segment){.base_offset = -1, .fd = -1, .index_fd = -1};
    return reader;
}

void el_reader_free(el_reader *reader) {
    free(reader->buffer);
    free(reader);
}

/* Is it as the picture in reader.h shows it? */
static int is_sound(const el_reader *reader) {
    return reader->cursor <= reader->verified && reader->verified <= reader->filled && reader->filled <= reader->capacity &&
           reader->data >= reader->buffer && reader->data <= reader->buffer + EL_PAGE_BYTES &&
           reader->records <= reader->records_end;
}

/* Read this many bytes ahead the next time, and a block at most. */
static void set_ahead(el_reader *reader, size_t bytes) {
    reader->ahead = bytes < reader->block_bytes ? bytes : reader->block_bytes;
}

int el_segment_holds(const el_segment *segment, int64_t offset, uint32_t list_version) {
    return segment->list_version == list_version && segment->base_offset >= 0 && segment->base_offset <= offset &&
           offset < segment->end_offset;
}

static void close_file(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void el_segment_close_index(el_segment *segment) {
    close_file(&segment->index_fd);
}

void el_segment_close(el_segment *segment) {
    segment->base_offset = -1;
    close_file(&segment->fd);
    el_segment_close_index(segment);
}

void el_reader_seek(el_reader *reader, int64_t position, int64_t base_offset, int64_t next_offset) {
    reader->position = position;
    reader->next_offset = next_offset;
    reader->following_base = base_offset;
    reader->filled = reader->verified = reader->cursor = 0;
    reader->settled_offset = 0;
    reader->records = reader->records_end = NULL;
    set_ahead(reader, AHEAD_BYTES_MIN);
}

static int64_t last_offset(const el_batch *batch) {
    return batch->base_offset + batch->last_offset_delta;
}

/* Read the header of the batch that should be at `position`; 0 if there is none. */
static int read_header(int fd, int64_t position, el_batch *batch) {
    uint8_t header[EL_BATCH_HEADER_BYTES];
    el_batch_parse(header, position < 0 ? 0 : el_read_at(fd, header, sizeof header, position), batch);
    return batch->size_bytes > 0;
}

/* The batch at `position`, where reading is to go on, is large and ends before the offset. If the one behind it begins with the very next
 * offset, go there: no record of the first one is wanted, so nothing depends on its bytes. If there is a gap between them, compaction
 * may have left it, or the length may be wrong. */
static void pass_unread(el_reader *reader, const el_batch *batch, int64_t offset) {
    el_batch following;
    int64_t end = reader->position + batch->size_bytes, next_offset = last_offset(batch) + 1;
    if (!read_header(reader->segment.fd, end, &following) || following.base_offset != next_offset)
        return;
    reader->position = end;
    reader->following_base = next_offset;
    if (last_offset(&following) >= offset && (size_t)following.size_bytes > reader->ahead)
        set_ahead(reader, (size_t)following.size_bytes);
}

int el_reader_find(el_reader *reader, int64_t offset) {
    uint8_t bytes[EL_INDEX_ENTRY_BYTES];
    const el_segment *segment = &reader->segment;
    int64_t offsets = segment->end_offset == INT64_MAX ? 0 : segment->end_offset - segment->base_offset;
    el_reader_seek(reader, 0, segment->base_offset, offset);
    if (segment->index_fd < 0 ||
        !el_index_floor(segment->index_fd, sizeof bytes, sizeof(int32_t), offset - segment->base_offset, offsets, bytes))
        return 1;
    el_index_entry entry = el_index_read(bytes);
    el_batch batch;
    if (!read_header(segment->fd, entry.position, &batch) || last_offset(&batch) - segment->base_offset != entry.relative_offset)
        return 0;
    if (batch.base_offset < segment->base_offset)
        return 1;
    el_reader_seek(reader, entry.position, batch.base_offset, offset);
    if (last_offset(&batch) < offset && (size_t)batch.size_bytes > reader->ahead)
        pass_unread(reader, &batch, offset);
    return 1;
}

static int corrupt(el_reader *reader, int codec_status, size_t at) {
    reader->codec_status = codec_status;
    reader->error_position = reader->position + (int64_t)at;
    return EL_READ_CORRUPT;
}

/* No memory is allocated for bytes that a batch claims to have, and the file does not. */
static size_t bounded_by_file(const el_reader *reader, size_t needed) {
    struct stat file;
    if (needed <= reader->block_bytes || fstat(reader->segment.fd, &file) != 0)
        return needed;
    int64_t start = reader->position + (int64_t)reader->cursor, rest = file.st_size > start ? file.st_size - start : 0;
    return (int64_t)needed < rest ? needed : (size_t)rest;
}

/* Drop the decoded bytes, and make room for `wanted` bytes from the cursor on. */
static int make_room(el_reader *reader, size_t wanted) {
    size_t rest = reader->filled - reader->cursor;
    uint8_t *buffer = reader->buffer;
    if (wanted > reader->capacity || (wanted < reader->capacity && rest <= wanted)) {
        /* A larger buffer for a batch that is larger than a block, or a smaller one again after it. */
        buffer = malloc(wanted + EL_PAGE_BYTES);
        if (buffer == NULL)
            return EL_READ_NO_MEMORY;
        reader->capacity = wanted;
    }
    reader->position += (int64_t)reader->cursor;
    uint8_t *data = el_place_for(buffer, reader->position);
    memmove(data, reader->data + reader->cursor, rest);
    if (buffer != reader->buffer)
        free(reader->buffer);
    reader->buffer = buffer;
    reader->data = data;
    reader->filled = rest;
    reader->cursor = reader->verified = 0;
    return EL_READ_READY;
}

/* Read until `needed` bytes are at the cursor or the file ends. */
static int fill(el_reader *reader, size_t needed) {
    needed = bounded_by_file(reader, needed);
    size_t target = needed > reader->ahead ? needed : reader->ahead;
    if (make_room(reader, needed > reader->block_bytes ? needed : reader->block_bytes) != EL_READ_READY)
        return EL_READ_NO_MEMORY;
    while (reader->filled < needed) {
        ssize_t got = pread(reader->segment.fd, reader->data + reader->filled, target - reader->filled,
                            reader->position + (int64_t)reader->filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            reader->error_number = errno;
            return EL_READ_IO_ERROR;
        }
        if (got == 0)
            break;
        reader->filled += (size_t)got;
    }
    set_ahead(reader, reader->ahead * AHEAD_GROWTH);
    EL_ASSERT(is_sound(reader));
    return EL_READ_READY;
}

/* Is there nothing but zeros from `at` to the end of what was read? That is a preallocated tail; anything else is damage. */
static int is_blank(const el_reader *reader, size_t at) {
    for (size_t i = at; i < reader->filled; i++)
        if (reader->data[i] != 0)
            return 0;
    return 1;
}

static int is_in_order(const el_reader *reader, const el_batch *batch) {
    return batch->base_offset == reader->following_base ||
           (reader->allow_gaps && batch->base_offset > reader->following_base);
}

static void pass(el_reader *reader, const el_batch *batch) {
    reader->verified += (size_t)batch->size_bytes;
    EL_ASSERT(reader->verified <= reader->filled);
    reader->following_base = last_offset(batch) + 1;
}

/* Check the batch behind the checked ones. EL_READ_READY with *batch filled in, if it is whole and right. */
static int check_next(el_reader *reader, el_batch *batch) {
    const uint8_t *data = reader->data + reader->verified;
    int status = el_batch_parse(data, reader->filled - reader->verified, batch);
    if (status == EL_CODEC_OK)
        status = el_batch_verify(data, batch);
    if (status == EL_CODEC_OK && !is_in_order(reader, batch))
        status = EL_CODEC_BAD_OFFSET;
    if (status == EL_CODEC_OK)
        return EL_READ_READY;
    return corrupt(reader, status, reader->verified);
}

/* Check the batch at the cursor, and read more if it needs that. */
static int check_first(el_reader *reader, el_batch *batch) {
    int status = check_next(reader, batch);
    if (status == EL_READ_CORRUPT && reader->codec_status == EL_CODEC_INCOMPLETE) {
        size_t needed = batch->size_bytes > 0 ? (size_t)batch->size_bytes : EL_BATCH_HEADER_BYTES;
        status = fill(reader, needed);
        if (status != EL_READ_READY)
            return status;
        if (reader->filled == 0)
            return EL_READ_END_OF_SEGMENT;
        status = check_next(reader, batch);
        if (status == EL_READ_CORRUPT && reader->codec_status == EL_CODEC_INCOMPLETE && needed < (size_t)batch->size_bytes)
            return check_first(reader, batch);
    }
    if (status == EL_READ_CORRUPT && is_blank(reader, reader->verified))
        return EL_READ_END_OF_SEGMENT;
    return status;
}

static int is_wanted(const el_reader *reader, const el_batch *batch) {
    return last_offset(batch) >= reader->next_offset && (batch->attributes & EL_ATTRIBUTE_CONTROL) == 0 &&
           (reader->aborted.count == 0 || !el_is_aborted(&reader->aborted, batch));
}

/* Check all further batches that are whole in the buffer, so that many can be decoded in a row. */
static void check_following(el_reader *reader, int64_t end_offset) {
    el_batch batch;
    while (reader->verified < reader->filled) {
        const uint8_t *data = reader->data + reader->verified;
        if (el_batch_parse(data, reader->filled - reader->verified, &batch) != EL_CODEC_OK ||
            !is_in_order(reader, &batch) || last_offset(&batch) >= end_offset ||
            (batch.attributes & EL_ATTRIBUTE_COMPRESSION) != 0 || el_batch_verify(data, &batch) != EL_CODEC_OK)
            return; /* if it is wrong, that is found and reported once it is the first */
        pass(reader, &batch);
        if (reader->following_base >= end_offset)
            return;
    }
}

int el_reader_load(el_reader *reader, int64_t end_offset) {
    el_batch batch;
    EL_ASSERT(is_sound(reader));
    if (reader->is_busy)
        return EL_READ_BUSY;
    if (reader->records < reader->records_end || reader->cursor < reader->verified)
        return EL_READ_READY;
    if (end_offset > reader->settled_offset) {
        /* Bytes that were read from behind the former end offset may have been half written, or never published. */
        if (reader->filled > reader->verified)
            set_ahead(reader, AHEAD_BYTES_MIN);
        reader->filled = reader->verified;
        reader->settled_offset = end_offset;
    }
    reader->records = reader->records_end = NULL;
    for (;;) {
        int status = check_first(reader, &batch);
        if (status != EL_READ_READY)
            return status;
        if (last_offset(&batch) >= end_offset && batch.base_offset >= end_offset) {
            reader->next_offset = end_offset; /* it may lie in a gap that compaction has left before this batch */
            return EL_READ_END_OF_SEGMENT;
        }
        if (is_wanted(reader, &batch))
            break;
        pass(reader, &batch);
        reader->cursor = reader->verified;
        if (last_offset(&batch) >= reader->next_offset)
            reader->next_offset = last_offset(&batch) + 1;
        if (reader->next_offset >= end_offset)
            return EL_READ_END_OF_SEGMENT;
    }
    if (batch.attributes & EL_ATTRIBUTE_COMPRESSION) {
        reader->batch = batch;
        return EL_READ_COMPRESSED;
    }
    pass(reader, &batch);
    check_following(reader, end_offset);
    return EL_READ_READY;
}

const uint8_t *el_reader_compressed(const el_reader *reader, size_t *length) {
    *length = (size_t)reader->batch.size_bytes - EL_BATCH_HEADER_BYTES;
    return reader->data + reader->cursor + EL_BATCH_HEADER_BYTES;
}

static void begin_records(el_reader *reader, const uint8_t *records, size_t length) {
    reader->records = records;
    reader->records_end = records + length;
    reader->previous_delta = -1;
}

int el_reader_set_records(el_reader *reader, const uint8_t *records, size_t length) {
    int status = el_batch_verify_records(records, length, &reader->batch);
    if (status != EL_CODEC_OK)
        return corrupt(reader, status, reader->cursor);
    begin_records(reader, records, length);
    pass(reader, &reader->batch);
    reader->cursor = reader->verified;
    return EL_READ_READY;
}

void el_reader_decode(el_reader *reader, const el_batch *batch, const uint8_t *records, size_t length) {
    el_reader_seek(reader, 0, batch->base_offset, batch->base_offset);
    reader->batch = *batch;
    begin_records(reader, records, length);
}

static int open_batch(el_reader *reader) {
    while (reader->cursor < reader->verified) {
        const uint8_t *data = reader->data + reader->cursor;
        el_batch_parse(data, reader->verified - reader->cursor, &reader->batch);
        reader->cursor += (size_t)reader->batch.size_bytes;
        if (is_wanted(reader, &reader->batch)) {
            begin_records(reader, data + EL_BATCH_HEADER_BYTES, (size_t)reader->batch.size_bytes - EL_BATCH_HEADER_BYTES);
            return 1;
        }
        reader->next_offset = last_offset(&reader->batch) + 1;
    }
    return 0;
}

/* Go to the next checked batch with records, the last one's being used up; 0 if there is none below stop_offset. */
static int open_next(el_reader *reader, int64_t stop_offset) {
    do {
        if (reader->records != NULL && reader->next_offset <= last_offset(&reader->batch))
            reader->next_offset = last_offset(&reader->batch) + 1; /* compaction took the last records */
        if (reader->next_offset >= stop_offset || !open_batch(reader))
            return 0;
    } while (reader->records == reader->records_end);
    return 1;
}

/* Are there bytes of records at reader->records? */
static inline int has_records(el_reader *reader, int64_t stop_offset) {
    return reader->next_offset < stop_offset && (reader->records != reader->records_end || open_next(reader, stop_offset));
}

static int malformed(el_reader *reader, int codec_status) {
    reader->codec_status = codec_status;
    reader->error_position = el_reader_batch_position(reader);
    return -1;
}

/* A right checksum does not rule it out, if the writer was wrong: an offset outside its batch, or one that does not rise, would hide
 * records. */
static int is_within_batch(const el_reader *reader, const el_record *record) {
    return record->offset_delta > reader->previous_delta && record->offset_delta <= reader->batch.last_offset_delta;
}

int el_reader_next(el_reader *reader, int64_t stop_offset, el_record *record) {
    while (has_records(reader, stop_offset)) {
        const uint8_t *start = reader->records;
        int status = el_record_next(&reader->records, reader->records_end, record);
        if (status == EL_CODEC_OK && !is_within_batch(reader, record))
            status = EL_CODEC_BAD_OFFSET;
        if (status != EL_CODEC_OK) {
            reader->records = start;
            return malformed(reader, status);
        }
        int64_t offset = reader->batch.base_offset + record->offset_delta;
        if (offset >= stop_offset) {
            reader->records = start;
            reader->next_offset = stop_offset;
            return 0;
        }
        reader->previous_delta = record->offset_delta;
        if (offset >= reader->next_offset) {
            reader->next_offset = offset + 1;
            return 1;
        }
    }
    return 0;
}

/* Go to the record that holds the next hit in this batch, or behind all of its records. */
static int pass_to_hit(el_reader *reader, const el_needle *needle) {
    const uint8_t *hit = el_needle_find(needle, reader->records, (size_t)(reader->records_end - reader->records));
    const uint8_t *behind = reader->records;
    if (hit == NULL)
        behind = reader->records = reader->records_end;
    while (behind != reader->records_end && behind <= hit) {
        reader->records = behind;
        if (el_record_skip(&behind, reader->records_end) != EL_CODEC_OK)
            return EL_CODEC_BAD_RECORD;
    }
    return EL_CODEC_OK;
}

int el_reader_search(el_reader *reader, int64_t stop_offset, const el_needle *needle, unsigned fields, el_record *record) {
    while (has_records(reader, stop_offset)) {
        int status = needle->length > 0 ? pass_to_hit(reader, needle) : EL_CODEC_OK;
        if (status != EL_CODEC_OK)
            return malformed(reader, status);
        if (reader->records == reader->records_end)
            continue;
        int more = el_reader_next(reader, stop_offset, record);
        if (more != 1 || el_record_holds(record, needle, fields))
            return more;
    }
    return 0;
}

int64_t el_reader_batch_position(const el_reader *reader) {
    size_t at = reader->cursor;
    if (reader->records < reader->records_end)
        at -= (size_t)reader->batch.size_bytes;
    return reader->position + (int64_t)at;
}
