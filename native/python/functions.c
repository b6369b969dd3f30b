#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "functions.h"

#include <string.h>

#include "../store/clock.h"
#include "calls.h"

#define SECONDS_END 0x1p53 /* Python's check refuses from there on */

enum { APPENDER, IN_PYTHON, RESOLVE }; /* places in the state of the functions that append */

enum { OFFSET, TIMEOUT, DURABLE, WAIT_PARAMETERS };

static const char *const append_names[EL_RECORD_PARAMETERS] = {"value", "key", "headers", "timestamp"};
static const char *const wait_names[WAIT_PARAMETERS] = {"offset", "timeout", "durable"};

int el_sort_arguments(const char *const *names, int parameter_count, PyObject *const *arguments, Py_ssize_t count,
                      PyObject *keywords, PyObject **parameters) {
    if (count > parameter_count)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++)
        parameters[i] = arguments[i];
    Py_ssize_t named = keywords == NULL ? 0 : PyTuple_Size(keywords);
    for (Py_ssize_t i = 0; i < named; i++) {
        int at = 0;
        while (at < parameter_count && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(keywords, i), names[at]) != 0)
            at++;
        if (at == parameter_count || parameters[at] != NULL)
            return 0;
        parameters[at] = arguments[count + i];
    }
    return parameters[0] != NULL;
}

/* bytes, or None for null; 0 for anything else. */
static int view_exactly(PyObject *object, const uint8_t **data, int64_t *length) {
    if (object == NULL || object == Py_None) {
        *data = NULL;
        *length = -1;
        return 1;
    }
    if (!PyBytes_CheckExact(object))
        return 0;
    *data = (const uint8_t *)PyBytes_AsString(object);
    *length = PyBytes_Size(object);
    return 1;
}

int el_read_number(PyObject *object, int64_t *number) {
    if (!PyLong_CheckExact(object))
        return 0;
    *number = PyLong_AsLongLong(object);
    if (*number < 0)
        PyErr_Clear();
    return *number >= 0;
}

static int read_time(PyObject *object, int64_t *timestamp) {
    *timestamp = -1;
    return object == NULL || object == Py_None || el_read_number(object, timestamp);
}

static int read_headers(PyObject *object, encoded_headers *encoded, el_new_record *record) {
    if (object == NULL || object == Py_None)
        return 1;
    int is_done = el_encode_headers(encoded, object) == EL_PACK_DONE;
    PyErr_Clear();
    record->headers = encoded->data;
    record->headers_length = encoded->length;
    record->header_count = encoded->count;
    return is_done;
}

int el_read_record(PyObject *const *parameters, encoded_headers *headers, el_new_record *record) {
    return view_exactly(parameters[EL_VALUE], &record->value, &record->value_length) &&
           view_exactly(parameters[EL_KEY], &record->key, &record->key_length) &&
           read_time(parameters[EL_TIMESTAMP], &record->timestamp) && read_headers(parameters[EL_HEADERS], headers, record);
}

int64_t el_append_at_once(PyObject *state, el_new_record *record) {
    el_appender *appender = PyLong_AsVoidPtr(PyTuple_GetItem(state, APPENDER));
    el_encoding encoding = appender->encoding;
    return appender->flush_always ? EL_LOCK_TIMEOUT : el_append_record(appender, &encoding, record, 0);
}

/* The offset, or a negative status. */
static int64_t append_one(el_appender *appender, el_new_record *record) {
    el_encoding encoding = appender->encoding;
    int64_t offset = el_append_record(appender, &encoding, record, 0);
    if (offset == EL_LOCK_TIMEOUT) {
        Py_BEGIN_ALLOW_THREADS
        offset = el_append_record(appender, &encoding, record, 1);
        Py_END_ALLOW_THREADS
    }
    return offset;
}

PyObject *el_call_python(PyObject *function, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *positional = PyTuple_New(count);
    PyObject *named = PyDict_New();
    PyObject *result = NULL;
    int is_complete = positional != NULL && named != NULL;
    for (Py_ssize_t i = 0; is_complete && i < count; i++) {
        Py_INCREF(arguments[i]);
        PyTuple_SetItem(positional, i, arguments[i]);
    }
    Py_ssize_t names = keywords == NULL ? 0 : PyTuple_Size(keywords);
    for (Py_ssize_t i = 0; is_complete && i < names; i++)
        is_complete = PyDict_SetItem(named, PyTuple_GetItem(keywords, i), arguments[count + i]) == 0;
    if (is_complete)
        result = PyObject_Call(function, positional, named);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

PyObject *el_call_method(PyObject *object, PyObject *name, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *method = PyObject_GetAttr(object, name);
    PyObject *result = method == NULL ? NULL : el_call_python(method, arguments, count, keywords);
    Py_XDECREF(method);
    return result;
}

/* Let Python act on a status, so that the call can be made again; 0 with an exception set if it cannot. */
static int is_resolved(PyObject *state, int64_t status) {
    PyObject *number = PyLong_FromLongLong(status);
    PyObject *answer = number == NULL ? NULL : PyObject_CallFunctionObjArgs(PyTuple_GetItem(state, RESOLVE), number, NULL);
    Py_XDECREF(number);
    Py_XDECREF(answer);
    return answer != NULL;
}

/* Whether to encode otherwise, or what was wrong with the record, the Python function finds out by itself. */
static int is_for_python(int64_t status) {
    return status == EL_SETTINGS_CHANGED || status == EL_RECORD_TOO_LARGE || status == EL_NO_MEMORY;
}

/* Wait for the disk, where each append does; 0 with an exception set on failure. */
static int is_flushed(PyObject *state, el_appender *appender, int64_t end_offset) {
    while (appender->flush_always) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = el_flush(appender, end_offset);
        Py_END_ALLOW_THREADS
        if (status == EL_DONE)
            break;
        if (!is_resolved(state, status))
            return 0;
    }
    return 1;
}

int64_t el_append_with(PyObject *state, el_new_record *record) {
    el_appender *appender = PyLong_AsVoidPtr(PyTuple_GetItem(state, APPENDER));
    for (;;) {
        int64_t offset = append_one(appender, record);
        if (offset >= 0)
            return is_flushed(state, appender, offset + 1) ? offset : -1;
        if (is_for_python(offset) || !is_resolved(state, offset))
            return offset;
    }
}

static PyObject *append(PyObject *state, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *parameters[EL_RECORD_PARAMETERS] = {NULL};
    encoded_headers headers;
    el_new_record record = {0};
    int64_t offset = -1;
    el_headers_begin(&headers);
    if (el_sort_arguments(append_names, EL_RECORD_PARAMETERS, arguments, count, keywords, parameters) &&
        el_read_record(parameters, &headers, &record))
        offset = el_append_with(state, &record);
    el_headers_free(&headers);
    if (offset >= 0)
        return PyLong_FromLongLong(offset);
    return PyErr_Occurred() ? NULL : el_call_python(PyTuple_GetItem(state, IN_PYTHON), arguments, count, keywords);
}

/* The offset, or None where something has to be waited for, or Python asked. */
static PyObject *append_at_once(PyObject *state, PyObject *const *arguments, Py_ssize_t count) {
    PyObject *parameters[EL_RECORD_PARAMETERS] = {NULL};
    encoded_headers headers;
    el_new_record record = {0};
    int64_t offset = -1;
    el_headers_begin(&headers);
    if (el_sort_arguments(append_names, EL_RECORD_PARAMETERS, arguments, count, NULL, parameters) &&
        el_read_record(parameters, &headers, &record))
        offset = el_append_at_once(state, &record);
    el_headers_free(&headers);
    if (offset >= 0)
        return PyLong_FromLongLong(offset);
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *or_none(PyObject *list) {
    return list == NULL ? Py_None : list;
}

int64_t el_append_lists(PyObject *state, PyObject *const *lists, int64_t *count, el_placed *placed) {
    el_appender *appender = PyLong_AsVoidPtr(PyTuple_GetItem(state, APPENDER));
    el_pack pack;
    int64_t offset = EL_SETTINGS_CHANGED;
    el_encoding encoding = appender->encoding;
    memset(&pack, 0, sizeof pack);
    int is_packed = !encoding.compresses &&
                    el_pack_objects(&pack, lists[EL_VALUE], or_none(lists[EL_KEY]), or_none(lists[EL_HEADERS]),
                                    or_none(lists[EL_TIMESTAMP]), el_now_ms(), &encoding,
                                    el_appender_position(appender)) == EL_PACK_DONE;
    while (is_packed) {
        Py_BEGIN_ALLOW_THREADS
        offset = el_append_pack(appender, &pack, encoding.settings_version, placed);
        Py_END_ALLOW_THREADS
        if (offset >= 0 || is_for_python(offset) || !is_resolved(state, offset))
            break;
    }
    *count = pack.count;
    el_pack_free(&pack);
    return offset;
}

static PyObject *append_many(PyObject *state, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    int is_plain = count == 1 && (keywords == NULL || PyTuple_Size(keywords) == 0) && PyList_CheckExact(arguments[0]);
    if (is_plain && PyList_Size(arguments[0]) > 0) {
        PyObject *lists[EL_RECORD_PARAMETERS] = {arguments[0]};
        int64_t records, offset = el_append_lists(state, lists, &records, NULL);
        if (offset >= 0 && is_flushed(state, PyLong_AsVoidPtr(PyTuple_GetItem(state, APPENDER)), offset + records))
            return PyObject_CallFunction((PyObject *)&PyRange_Type, "LL", offset, offset + records);
        if (PyErr_Occurred())
            return NULL;
    }
    return el_call_python(PyTuple_GetItem(state, IN_PYTHON), arguments, count, keywords);
}

/* Seconds of an exact float or int that is not negative; None: more than one sleep. 0 for anything else. */
static int read_timeout(PyObject *object, double *seconds) {
    *seconds = EL_AWAIT_MS_MAX;
    if (object == NULL || object == Py_None)
        return 1;
    if (!PyFloat_CheckExact(object) && !PyLong_CheckExact(object))
        return 0;
    *seconds = PyFloat_AsDouble(object);
    PyErr_Clear();
    return *seconds >= 0 && *seconds < SECONDS_END;
}

/* Does the log end in a record for sure? Compaction may have left a gap there, and a broker a marker. */
static int ends_in_record(const el_appender *appender, int durable) {
    int64_t end = durable ? el_head_durable_offset(appender->head) : el_head_end_offset(appender->head);
    return end > appender->unsure_end && !el_head_may_have_gaps(appender->head);
}

/* Look, and sleep once; 1 if there is a record then, and that is sure. */
static int sleep_once(el_appender *appender, int64_t offset, int durable, double seconds) {
    el_awaited awaited;
    int64_t milliseconds = seconds * 1000 < EL_AWAIT_MS_MAX ? (int64_t)(seconds * 1000 + 0.999) : EL_AWAIT_MS_MAX;
    el_head_await(appender->head, offset, durable, &awaited);
    if (atomic_load(&appender->is_retired))
        return 0;
    if (el_first_ready(&awaited, 1, 0) == 0)
        return ends_in_record(appender, durable);
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = el_await_any(appender->signals, el_signals_bell(appender->signals), &awaited, 1, milliseconds);
    Py_END_ALLOW_THREADS
    return status == EL_DONE && ends_in_record(appender, durable);
}

/* Go on waiting in Python, which finds out what has happened: for what is left of the time, if there is a limit. */
static PyObject *wait_on(PyObject *function, PyObject **parameters, double seconds) {
    int has_limit = parameters[TIMEOUT] != NULL && parameters[TIMEOUT] != Py_None;
    PyObject *rest = has_limit ? PyFloat_FromDouble(seconds > 0 ? seconds : 0) : Py_BuildValue("");
    PyObject *durable = parameters[DURABLE] == NULL ? Py_False : parameters[DURABLE];
    PyObject *positional = rest == NULL ? NULL : PyTuple_Pack(2, parameters[OFFSET], rest);
    PyObject *named = Py_BuildValue("{s:O}", "durable", durable);
    PyObject *result = positional == NULL || named == NULL ? NULL : PyObject_Call(function, positional, named);
    Py_XDECREF(rest);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

static PyObject *wait(PyObject *state, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *parameters[WAIT_PARAMETERS] = {NULL}, *function = PyTuple_GetItem(state, IN_PYTHON);
    int64_t offset;
    double seconds;
    int is_plain = count <= DURABLE && el_sort_arguments(wait_names, WAIT_PARAMETERS, arguments, count, keywords, parameters) &&
                   el_read_number(parameters[OFFSET], &offset) && read_timeout(parameters[TIMEOUT], &seconds) &&
                   (parameters[DURABLE] == NULL || PyBool_Check(parameters[DURABLE]));
    if (!is_plain)
        return el_call_python(function, arguments, count, keywords);
    int64_t start = el_monotonic_ns();
    if (sleep_once(PyLong_AsVoidPtr(PyTuple_GetItem(state, APPENDER)), offset, parameters[DURABLE] == Py_True, seconds))
        return PyBool_FromLong(1);
    return wait_on(function, parameters, seconds - 1e-9 * (double)(el_monotonic_ns() - start));
}

static PyMethodDef append_definition = {
    "append", (PyCFunction)(void (*)(void))append, METH_FASTCALL | METH_KEYWORDS,
    "append($module, /, value, key=None, headers=None, timestamp=None)\n--\n\nAs Partition.append."};

static PyMethodDef append_at_once_definition = {
    "append_at_once", (PyCFunction)(void (*)(void))append_at_once, METH_FASTCALL,
    "append_at_once($module, value, key, headers, timestamp, /)\n--\n\nAs Partition.append, or None where that would wait."};

static PyMethodDef append_many_definition = {
    "append_many", (PyCFunction)(void (*)(void))append_many, METH_FASTCALL | METH_KEYWORDS,
    "append_many($module, /, values, *, keys=None, headers=None, timestamps=None, compression=None)\n--\n\n"
    "As Partition.append_many."};

static PyMethodDef wait_definition = {"wait", (PyCFunction)(void (*)(void))wait, METH_FASTCALL | METH_KEYWORDS,
                                      "wait($module, /, offset, timeout=None, *, durable=False)\n--\n\nAs Partition.wait."};

int el_append_function(uintptr_t list, PyMethodDef *definition, uintptr_t state) {
    PyGILState_STATE lock = PyGILState_Ensure();
    int is_done = el_hand_over(list, PyCFunction_NewEx(definition, (PyObject *)state, NULL));
    PyGILState_Release(lock);
    return is_done;
}

PyObject *el_append_state(PyObject *function) {
    int is_ours = function != NULL && PyCFunction_Check(function) && PyCFunction_GetFunction(function) == append_definition.ml_meth;
    return is_ours ? PyCFunction_GetSelf(function) : NULL;
}

int el_new_append_function(uintptr_t list, uintptr_t state) {
    return el_append_function(list, &append_definition, state);
}

int el_new_append_at_once_function(uintptr_t list, uintptr_t state) {
    return el_append_function(list, &append_at_once_definition, state);
}

int el_new_append_many_function(uintptr_t list, uintptr_t state) {
    return el_append_function(list, &append_many_definition, state);
}

int el_new_wait_function(uintptr_t list, uintptr_t state) {
    return el_append_function(list, &wait_definition, state);
}
