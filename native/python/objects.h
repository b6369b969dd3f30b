/* What Python code sees by cffi of what stands between objects and encoded records. */

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

/* What is looked for: records of which one of the fields (EL_SEARCH_..., added up) holds the needle and is accepted by a function of a bytes
 * object, if there is one. With is_inverted: all other records. */
typedef struct el_query {
    el_needle needle;
    unsigned fields;
    int is_inverted;
} el_query;

#endif
