/* What the files of this directory share: Python objects made of decoded records, and records made of Python objects. */

#ifndef EVENTLOG_PYTHON_MAKING_H
#define EVENTLOG_PYTHON_MAKING_H

#include "objects.h"

#define EL_HEADER_NAMES 8

/* What all records of a partition have in common: borrowed references, but for the timestamp and the names of headers that were made
 * last: most records have the same names at the same places. */
typedef struct record_maker {
    PyTypeObject *type; /* a subclass of tuple with seven fields */
    PyObject *make;     /* tuple.__new__, or None where an instance may be filled in place */
    PyObject *topic;
    PyObject *partition;
    int64_t timestamp;
    PyObject *timestamp_object;
    PyObject *header_names[EL_HEADER_NAMES];
} record_maker;

/* Append an object to a list, which takes the reference. 0; or -1 with an exception set, also where the object is NULL. */
int el_append_stolen(PyObject *list, PyObject *object);

/* bytes, or None for a length below 0. NULL with an exception set. */
PyObject *el_make_bytes(const uint8_t *bytes, int32_t length);

/* NULL with an exception set: MemoryError, or anything else for a malformed record. */
PyObject *el_make_record(record_maker *maker, const el_reader *reader, const el_record *source);
void el_maker_clear(record_maker *maker);

#define EL_FEW_HEADERS_BYTES 256

/* Headers as they stand in a record; may be used for one record after the other. */
typedef struct encoded_headers {
    uint8_t *data; /* `few`, or memory of its own */
    size_t length;
    size_t capacity;
    int32_t count;
    uint8_t few[EL_FEW_HEADERS_BYTES];
} encoded_headers;

void el_headers_begin(encoded_headers *headers);
void el_headers_free(encoded_headers *headers);

/* A list or tuple of (str, bytes or None) pairs, or None. Returns an el_pack_status, perhaps with an exception set. What a subclass
 * says of itself is not asked: no Python code may run here, where everything is borrowed. */
int el_encode_headers(encoded_headers *out, PyObject *headers);

/* Encode lists of equal length. keys, headers and timestamps may be None; a timestamp that is None is `now`. Where the log sets timestamps
 * itself every one is `now`. `position` is where in their file the batches will probably stand (see el_place_for). */
int el_pack_objects(el_pack *pack, PyObject *values, PyObject *keys, PyObject *headers, PyObject *timestamps, int64_t now,
                    const el_encoding *encoding, int64_t position);

#endif
