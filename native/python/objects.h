/* Between Python objects and encoded records: one call per list, no Python code per record.
 *
 * Objects arrive as addresses (id(object)), because cffi has no type for them. cffi releases the
 * interpreter lock around every call; these functions take it again. The caller keeps every object alive. */

#ifndef EVENTLOG_PYTHON_OBJECTS_H
#define EVENTLOG_PYTHON_OBJECTS_H

#include <stddef.h>
#include <stdint.h>

#include "../store/appender.h"
#include "../store/reader.h"

enum el_pack_status {
    EL_PACK_DONE = 0,
    EL_PACK_BAD_VALUE,
    EL_PACK_BAD_KEY,
    EL_PACK_BAD_TIMESTAMP,
    EL_PACK_BAD_HEADERS,
    EL_PACK_RECORD_TOO_LARGE,
    EL_PACK_NO_MEMORY,
    EL_PACK_CHANGED, /* the lists are not equally long any more */
    EL_PACK_NO_KEY,
};

typedef struct el_pack {
    uint8_t *data; /* whole batches, each at most batch_bytes_max long; free with el_pack_free */
    uint8_t *memory;
    int64_t position;
    size_t length;
    size_t capacity;
    int64_t count;
    int64_t failed_index; /* the record that el_pack_status is about */
    int64_t failed_bytes; /* with EL_PACK_RECORD_TOO_LARGE: the size of its batch */
    int log_append_time;
} el_pack;

/* Encode lists of equal length. keys, headers and timestamps may be the address of None; a timestamp that is None is `now`.
 * Where the log sets timestamps itself every one is `now`. `position` is where in their file the batches will probably stand
 * (see el_place_for). */
int el_pack_lists(el_pack *pack, uintptr_t values, uintptr_t keys, uintptr_t headers, uintptr_t timestamps, int64_t now,
                  const el_encoding *encoding, int64_t position);
void el_pack_free(el_pack *pack);

/* Where the records of a pack went. It is filled in before any Python code can run, which an interrupt might end. */
typedef struct el_placed {
    int64_t first_offset; /* -1: nowhere yet */
    int32_t is_stamped;   /* they have the time of the append, whatever time they were given */
} el_placed;

/* As el_append_unit, and say where, unless `placed` is NULL. */
int64_t el_append_pack(el_appender *appender, const el_pack *pack, uint32_t settings_version, el_placed *placed);

enum el_taken_status {
    EL_TAKEN_MALFORMED = -1,
    EL_TAKEN_NO_MEMORY = -2,
    EL_TAKEN_RAISED = -3, /* a function that was called has raised */
    EL_TAKEN_BUSY = -4,   /* somebody is taking records already: this very thread, too, if the garbage collector has run its code */
};

/* Append up to max_records checked records below stop_offset to a list, as instances of record_type, a subclass of tuple with seven
 * fields. make is tuple.__new__, or the address of None where an instance may be filled in place. Returns how many, -1 when a
 * record is malformed (reader->codec_status), or another el_taken_status. */
int64_t el_take_records(el_reader *reader, uintptr_t list, int64_t max_records, int64_t stop_offset,
                        uintptr_t record_type, uintptr_t make, uintptr_t topic, uintptr_t partition);

/* What is looked for: records of which one of the fields (EL_SEARCH_..., added up) holds the needle and is accepted by `accepts`, the
 * address of a function of a bytes object, or of None. With is_inverted: all other records. */
typedef struct el_query {
    el_needle needle;
    unsigned fields;
    int is_inverted;
    uintptr_t accepts;
} el_query;

/* As el_take_records, with those records alone that the query is for, as many as stand in the checked batches. EL_TAKEN_RAISED: `accepts`
 * has raised; the exception was appended to the list. */
int64_t el_take_found(el_reader *reader, const el_query *query, uintptr_t list, int64_t max_records, int64_t stop_offset,
                      uintptr_t record_type, uintptr_t make, uintptr_t topic, uintptr_t partition);

#endif
