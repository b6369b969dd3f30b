/* The conversion between Python objects and encoded records, as far as Python code uses it through cffi. */

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
    EL_PACK_CHANGED, /* the lists no longer have equal lengths */
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

void el_pack_free(el_pack *pack);

/* Where the records of a pack were appended. It is filled in before any Python code, which could be interrupted, can run. */
typedef struct el_placed {
    int64_t first_offset; /* -1: not appended yet */
    int32_t is_stamped;   /* they have the time of the append instead of the timestamps that they were given */
} el_placed;

/* As el_append_unit_if, or as el_append_unit if end_offset is NULL; also fills in `placed` unless it is NULL. */
int64_t el_append_pack(el_appender *appender, const el_pack *pack, uint32_t settings_version, int64_t *end_offset, el_placed *placed);

enum el_taken_status {
    EL_TAKEN_MALFORMED = -1,
    EL_TAKEN_NO_MEMORY = -2,
    EL_TAKEN_RAISED = -3, /* a called function has raised an exception */
    EL_TAKEN_BUSY = -4,   /* records are being taken already, perhaps by this same thread, if the garbage collector has run its code */
};

/* A search for records in which one of the fields (a sum of EL_SEARCH_...) contains the needle and is accepted by a function of a bytes
 * object, if one is given. With is_inverted: for all other records. */
typedef struct el_query {
    el_needle needle;
    unsigned fields;
    int is_inverted;
} el_query;

#endif
