/* Python objects made of decoded records. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "making.h"

#define RECORD_FIELDS 7

PyObject *el_make_bytes(const uint8_t *bytes, int32_t length) {
    if (length < 0) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    return PyBytes_FromStringAndSize((const char *)bytes, length);
}

int el_append_stolen(PyObject *list, PyObject *object) {
    if (object == NULL)
        return -1;
    int result = PyList_Append(list, object);
    Py_DECREF(object);
    return result;
}

static int is_name(PyObject *name, const el_header *header) {
    Py_ssize_t length;
    const char *bytes = name == NULL ? NULL : PyUnicode_AsUTF8AndSize(name, &length);
    if (bytes == NULL)
        PyErr_Clear(); /* a name with surrogate escapes */
    return bytes != NULL && length == header->key_length && memcmp(bytes, header->key, (size_t)length) == 0;
}

/* Kafka's header keys are UTF-8; surrogate escapes preserve bytes that are not. */
static PyObject *name_object(PyObject **last, const el_header *header) {
    if (!is_name(*last, header)) {
        Py_XDECREF(*last);
        *last = PyUnicode_DecodeUTF8((const char *)header->key, header->key_length, "surrogateescape");
    }
    Py_XINCREF(*last);
    return *last;
}

/* A tuple of (str, bytes or None) pairs. */
static PyObject *decode_headers(record_maker *maker, const el_record *record) {
    PyObject *headers = PyTuple_New(record->header_count);
    const uint8_t *at = record->headers, *end = at + record->headers_length;
    for (int32_t i = 0; headers != NULL && i < record->header_count; i++) {
        el_header header;
        PyObject *pair = NULL;
        if (el_header_next(&at, end, &header) == EL_CODEC_OK && (pair = PyTuple_New(2)) != NULL) {
            PyTuple_SetItem(pair, 0, name_object(&maker->header_names[i % EL_HEADER_NAMES], &header));
            PyTuple_SetItem(pair, 1, el_make_bytes(header.value, header.value_length));
        }
        if (pair == NULL || PyErr_Occurred()) {
            Py_XDECREF(pair);
            Py_DECREF(headers);
            return NULL;
        }
        PyTuple_SetItem(headers, i, pair);
    }
    return headers;
}

/* Records that were appended together have the same timestamp, and share its object. */
static PyObject *timestamp_object(record_maker *maker, int64_t timestamp) {
    if (maker->timestamp_object == NULL || maker->timestamp != timestamp) {
        Py_XDECREF(maker->timestamp_object);
        maker->timestamp_object = PyLong_FromLongLong(timestamp);
        maker->timestamp = timestamp;
    }
    Py_XINCREF(maker->timestamp_object);
    return maker->timestamp_object;
}

void el_maker_clear(record_maker *maker) {
    Py_CLEAR(maker->timestamp_object);
    for (int i = 0; i < EL_HEADER_NAMES; i++)
        Py_CLEAR(maker->header_names[i]);
}

/* Do the items of a tuple directly follow its header? They do in every CPython up to 3.13; otherwise each item is stored by a
 * call. */
static int are_items_inline(void) {
    static int answer = -1;
    if (answer < 0) {
        PyObject *tuple = PyTuple_Pack(3, Py_True, Py_None, Py_False);
        PyObject **items = (PyObject **)((PyVarObject *)tuple + 1);
        answer = tuple != NULL && items[0] == Py_True && items[1] == Py_None && items[2] == Py_False;
        Py_XDECREF(tuple);
        PyErr_Clear();
    }
    return answer;
}

/* Makes new references, NULL for each that failed: then 0 with an exception set. */
static int make_fields(record_maker *maker, const el_reader *reader, const el_record *source, PyObject **fields) {
    int64_t timestamp = el_reader_timestamp(reader, source);
    Py_INCREF(maker->topic);
    Py_INCREF(maker->partition);
    fields[0] = maker->topic;
    fields[1] = maker->partition;
    fields[2] = PyLong_FromLongLong(reader->batch.base_offset + source->offset_delta);
    fields[3] = timestamp_object(maker, timestamp);
    fields[4] = el_make_bytes(source->key, source->key_length);
    fields[5] = el_make_bytes(source->value, source->value_length);
    fields[6] = decode_headers(maker, source);
    return fields[2] != NULL && fields[3] != NULL && fields[4] != NULL && fields[5] != NULL && fields[6] != NULL;
}

static PyObject *make_record(record_maker *maker, const el_reader *reader, const el_record *source) {
    int in_place = maker->make == Py_None;
    PyObject *fields[RECORD_FIELDS];
    int is_whole = make_fields(maker, reader, source, fields);
    PyObject *record = NULL;
    if (is_whole)
        record = in_place ? PyType_GenericAlloc(maker->type, RECORD_FIELDS) : PyTuple_New(RECORD_FIELDS);
    if (record != NULL && in_place && are_items_inline()) {
        memcpy((PyVarObject *)record + 1, fields, sizeof fields);
        return record;
    }
    for (int i = 0; i < RECORD_FIELDS; i++)
        if (record != NULL)
            PyTuple_SetItem(record, i, fields[i]);
        else
            Py_XDECREF(fields[i]);
    if (record == NULL || in_place)
        return record;
    PyObject *made = PyObject_CallFunctionObjArgs(maker->make, maker->type, record, NULL);
    Py_DECREF(record);
    return made;
}

PyObject *el_make_record(record_maker *maker, const el_reader *reader, const el_record *source) {
    PyObject *record = make_record(maker, reader, source);
    if (record != NULL)
        PyObject_GC_UnTrack(record); /* it cannot be in a cycle: so the collector need not traverse it */
    return record;
}
