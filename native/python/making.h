/* Shared by the files of this directory: making Python objects from decoded records, and records from Python objects. */

#ifndef EVENTLOG_PYTHON_MAKING_H
#define EVENTLOG_PYTHON_MAKING_H

#include "objects.h"

#define EL_HEADER_NAMES 8

/* What all records of a partition have in common. The references are borrowed, except for the last timestamp and the last header names that
 * were made: most records have the same names in the same order. */
typedef struct record_maker {
    PyTypeObject *type; /* a subclass of tuple with seven fields */
    PyObject *make;     /* tuple.__new__, or None if an instance may be filled in place */
    PyObject *topic;
    PyObject *partition;
    int64_t timestamp;
    PyObject *timestamp_object;
    PyObject *header_names[EL_HEADER_NAMES];
} record_maker;

/* Append an object to a list, which takes the reference. Returns 0; or -1 with an exception set, also if the object is NULL. */
int el_append_stolen(PyObject *list, PyObject *object);

/* A bytes object, or None for a length below 0; NULL with an exception set on failure. */
PyObject *el_make_bytes(const uint8_t *bytes, int32_t length);

/* NULL with an exception set on failure: MemoryError, or any other for a malformed record. */
PyObject *el_make_record(record_maker *maker, const el_reader *reader, const el_record *source);
void el_maker_clear(record_maker *maker);

#define EL_FEW_HEADERS_BYTES 256

/* Headers as they are encoded in a record; may be reused for the next record. */
typedef struct encoded_headers {
    uint8_t *data; /* `few`, or memory of its own */
    size_t length;
    size_t capacity;
    int32_t count;
    uint8_t few[EL_FEW_HEADERS_BYTES];
} encoded_headers;

void el_headers_begin(encoded_headers *headers);
void el_headers_free(encoded_headers *headers);

/* Encode a list or tuple of (str, bytes or None) pairs, or None. Returns an el_pack_status, perhaps with an exception set. Methods of a
 * subclass are not called: no Python code may run here, because all references are borrowed. */
int el_encode_headers(encoded_headers *out, PyObject *headers);

/* Encode lists of equal length. keys, headers and timestamps may be None; a timestamp that is None becomes `now`. If the log sets timestamps
 * itself, every one becomes `now`. `position` is the probable position of the batches in their file (see el_place_for). */
int el_pack_objects(el_pack *pack, PyObject *values, PyObject *keys, PyObject *headers, PyObject *timestamps, int64_t now,
                    const el_encoding *encoding, int64_t position);

#endif
