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
    return native;
}

static int holds(const el_reader *reader, int64_t offset, uint32_t list_version) {
    const el_segment *segment = &reader->segment;
    return segment->list_version == list_version && segment->base_offset >= 0 && segment->base_offset <= offset &&
           offset < segment->end_offset;
}

/* Take the idle reader that has the segment of the offset open, the one that was used last if there are several; NULL if there is
 * none. */
static PyObject *take_reader(PyObject *state, int64_t offset, uint32_t list_version, el_reader **native) {
    PyObject *idle = PyTuple_GetItem(state, IDLE);
    for (Py_ssize_t at = PyList_Size(idle) - 1; at >= 0; at--) {
        PyObject *reader = PyList_GetItem(idle, at);
        *native = native_reader(state, reader);
        if (*native == NULL || !holds(*native, offset, list_version))
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

static int load(el_reader *reader, int64_t offset, int64_t stop_offset) {
    int status = EL_READ_CORRUPT;
    Py_BEGIN_ALLOW_THREADS
    if (reader->next_offset == offset || el_reader_find(reader, offset))
        status = el_reader_load(reader, stop_offset);
    Py_END_ALLOW_THREADS
    return status;
}

/* Append records to a list; 0 if that is for Python to do. */
static int take_records(PyObject *state, el_reader *reader, int64_t offset, int64_t stop_offset, int64_t max_records,
                        PyObject *records) {
    while (max_records > 0 && offset < stop_offset) {
        if (load(reader, offset, stop_offset) != EL_READ_READY)
            return 0;
        int64_t count = el_take_records(reader, (uintptr_t)records, max_records, stop_offset,
                                        (uintptr_t)PyTuple_GetItem(state, RECORD_TYPE), (uintptr_t)PyTuple_GetItem(state, MAKE),
                                        (uintptr_t)PyTuple_GetItem(state, TOPIC), (uintptr_t)PyTuple_GetItem(state, PARTITION));
        if (count < 0)
            return 0;
        max_records -= count;
        offset = reader->next_offset;
    }
    return 1;
}

/* A new list; NULL if it is for Python to make. */
static PyObject *read_plainly(PyObject *state, int64_t offset, int64_t max_records) {
    const el_appender *appender = appender_of(state);
    const el_head *head = appender->head;
    el_reader *native;
    int64_t stop_offset = el_head_end_offset(head);
    if (atomic_load(&appender->is_retired) || el_head_poison(head) != 0 || offset < el_head_start_offset(head) || offset > stop_offset)
        return NULL;
    if (offset == stop_offset)
        return PyList_New(0);
    PyObject *reader = take_reader(state, offset, el_head_segments_version(head), &native);
    if (reader == NULL)
        return NULL;
    PyObject *records = PyList_New(0);
    if (records != NULL && !take_records(state, native, offset, stop_offset, max_records, records))
        Py_CLEAR(records);
    give_back(state, reader);
    return records;
}

static PyObject *read_records(PyObject *state, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *parameters[PARAMETERS] = {NULL};
    int64_t offset, max_records = EL_READ_RECORDS;
    int is_plain = count <= DURABLE && el_sort_arguments(names, PARAMETERS, arguments, count, keywords, parameters) &&
                   el_read_number(parameters[OFFSET], &offset) && parameters[DURABLE] == NULL &&
                   (parameters[MAX_RECORDS] == NULL || el_read_number(parameters[MAX_RECORDS], &max_records));
    PyObject *records = is_plain && max_records > 0 ? read_plainly(state, offset, max_records) : NULL;
    if (records != NULL)
        return records;
    PyErr_Clear(); /* whatever it was, Python meets it again, and tells it better */
    return el_call_python(PyTuple_GetItem(state, IN_PYTHON), arguments, count, keywords);
}

static PyMethodDef definition = {"read", (PyCFunction)(void (*)(void))read_records, METH_FASTCALL | METH_KEYWORDS,
                                 "read($module, /, offset, max_records=500, *, durable=False)\n--\n\nAs Partition.read."};

int el_new_read_function(uintptr_t list, uintptr_t state) {
    return el_append_function(list, &definition, state);
}
