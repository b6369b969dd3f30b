#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "functions.h"

#include "../store/reader.h"
#include "calls.h"

enum { OFFSET, MAX_RECORDS, DURABLE, PARAMETERS };

static const char *const names[PARAMETERS] = {"offset", "max_records", "durable"};

enum { APPENDER, IN_PYTHON, IDLE, ADDRESS, RECORD_TYPE, MAKE, TOPIC, PARTITION }; /* places in the state */

static const el_appender *appender_of(PyObject *state) {
    return PyLong_AsVoidPtr(PyTuple_GetItem(state, APPENDER));
}

static el_reader *native_reader(PyObject *state, PyObject *reader) {
    PyObject *address = PyObject_GetAttr(reader, PyTuple_GetItem(state, ADDRESS));
    el_reader *native = address == NULL ? NULL : PyLong_AsVoidPtr(address);
    Py_XDECREF(address);
    PyErr_Clear();
    return native;
}

/* Take the idle reader that has the segment of the offset open, the one that was used last if there are several; NULL if there is
 * none. */
static PyObject *take_reader(PyObject *state, int64_t offset, uint32_t list_version, el_reader **native) {
    PyObject *idle = PyTuple_GetItem(state, IDLE);
    for (Py_ssize_t at = PyList_Size(idle) - 1; at >= 0; at--) {
        PyObject *reader = PyList_GetItem(idle, at);
        *native = native_reader(state, reader);
        if (*native == NULL || !el_segment_holds(&(*native)->segment, offset, list_version))
            continue;
        Py_INCREF(reader);
        if (PyList_SetSlice(idle, at, at + 1, NULL) == 0)
            return reader;
        Py_DECREF(reader);
        return NULL;
    }
    return NULL;
}

/* It goes back where it came from, unless the partition was closed meanwhile: then its files are. */
static void give_back(PyObject *state, PyObject *reader) {
    if (!atomic_load(&appender_of(state)->is_retired) && PyList_Append(PyTuple_GetItem(state, IDLE), reader) != 0)
        PyErr_Clear();
    Py_DECREF(reader);
}

/* Without its index a segment would be gone through from its beginning on; and what becomes of an index that lies, Python knows. */
static int find(el_reader *reader, int64_t offset) {
    if (reader->next_offset == offset)
        return 1;
    int is_found = reader->segment.index_fd >= 0 && el_reader_find(reader, offset);
    if (!is_found)
        reader->next_offset = -1; /* so that Python looks for it, too */
    return is_found;
}

static int load(el_reader *reader, int64_t offset, int64_t stop_offset) {
    int is_ready;
    Py_BEGIN_ALLOW_THREADS
    is_ready = find(reader, offset) && el_reader_load(reader, stop_offset) == EL_READ_READY;
    Py_END_ALLOW_THREADS
    return is_ready;
}

typedef struct request {
    int64_t offset;
    int64_t max_records;
} request;

/* Append records to a list, as many as can be had here, and lower the request by them. 0 with an exception set. */
static int take_records(PyObject *state, el_reader *reader, int64_t stop_offset, request *request, PyObject *records) {
    while (request->max_records > 0 && request->offset < stop_offset && load(reader, request->offset, stop_offset)) {
        Py_ssize_t before = PyList_Size(records);
        int64_t count = el_take_records(reader, (uintptr_t)records, request->max_records, stop_offset,
                                        (uintptr_t)PyTuple_GetItem(state, RECORD_TYPE), (uintptr_t)PyTuple_GetItem(state, MAKE),
                                        (uintptr_t)PyTuple_GetItem(state, TOPIC), (uintptr_t)PyTuple_GetItem(state, PARTITION));
        if (count < 0)
            return PyList_SetSlice(records, before, PyList_Size(records), NULL) == 0; /* Python meets it again, and tells it */
        request->max_records -= count;
        request->offset = reader->next_offset;
        if (PyErr_CheckSignals() != 0)
            return 0;
    }
    if (request->offset >= stop_offset)
        request->max_records = 0;
    return 1;
}

/* Let Python read what is left of the request: in another segment, say, or compressed. */
static PyObject *read_on(PyObject *state, const request *rest, PyObject *records) {
    Py_ssize_t count = PyList_Size(records);
    PyObject *more = PyObject_CallFunction(PyTuple_GetItem(state, IN_PYTHON), "LL", (long long)rest->offset,
                                           (long long)rest->max_records);
    if (more != NULL && PyList_SetSlice(records, count, count, more) != 0)
        Py_CLEAR(more);
    Py_XDECREF(more);
    if (more != NULL)
        return records;
    Py_DECREF(records);
    return NULL;
}

/* A new list; NULL with an exception set, or without one if it is for Python to make. */
static PyObject *read_plainly(PyObject *state, const request *asked) {
    const el_appender *appender = appender_of(state);
    const el_head *head = appender->head;
    el_reader *native;
    int64_t stop_offset = el_head_end_offset(head);
    if (atomic_load(&appender->is_retired) || el_head_poison(head) != 0 || asked->offset < el_head_start_offset(head) ||
        asked->offset > stop_offset)
        return NULL;
    if (asked->offset == stop_offset)
        return PyList_New(0);
    PyObject *reader = take_reader(state, asked->offset, el_head_segments_version(head), &native);
    if (reader == NULL)
        return NULL;
    PyObject *records = PyList_New(0);
    request rest = *asked;
    if (records != NULL && !take_records(state, native, stop_offset, &rest, records))
        Py_CLEAR(records);
    give_back(state, reader);
    return records == NULL || rest.max_records == 0 ? records : read_on(state, &rest, records);
}

static PyObject *read_records(PyObject *state, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *parameters[PARAMETERS] = {NULL};
    request asked = {.max_records = EL_READ_RECORDS};
    int is_plain = count <= DURABLE && el_sort_arguments(names, PARAMETERS, arguments, count, keywords, parameters) &&
                   el_read_number(parameters[OFFSET], &asked.offset) && parameters[DURABLE] == NULL &&
                   (parameters[MAX_RECORDS] == NULL || el_read_number(parameters[MAX_RECORDS], &asked.max_records));
    PyObject *records = is_plain && asked.max_records > 0 ? read_plainly(state, &asked) : NULL;
    if (records != NULL || PyErr_Occurred())
        return records;
    return el_call_python(PyTuple_GetItem(state, IN_PYTHON), arguments, count, keywords);
}

static PyMethodDef definition = {"read", (PyCFunction)(void (*)(void))read_records, METH_FASTCALL | METH_KEYWORDS,
                                 "read($module, /, offset, max_records=500, *, durable=False)\n--\n\nAs Partition.read."};

int el_new_read_function(uintptr_t list, uintptr_t state) {
    return el_append_function(list, &definition, state);
}
