#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "calls.h"

static const char *const record_names[EL_RECORD_PARAMETERS] = {"value", "key", "headers", "timestamp"};

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

int el_sort_record(PyObject *const *arguments, Py_ssize_t count, PyObject *keywords, PyObject **parameters) {
    return el_sort_arguments(record_names, EL_RECORD_PARAMETERS, arguments, count, keywords, parameters);
}

/* View a bytes object, or None as null; returns 0 for anything else. */
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
