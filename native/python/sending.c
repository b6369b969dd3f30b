/* A producer's send: choosing the partition, appending, and making the receipt, without a step in Python. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>

#include "../codec/murmur2.h"
#include "calls.h"
#include "functions.h"

enum { TOPIC, VALUE, KEY, HEADERS, PARTITION, TIMESTAMP, SEND_PARAMETERS };
enum { SENDER, IN_PYTHON, TOPICS, RECEIPT, MAKE, NOTE, LAST_OFFSET }; /* places in the state */
enum { CHOICE, LANES, APPENDS };                                      /* places in a topic */
enum { RECEIPT_FIELDS = 3 };

static const char *const names[SEND_PARAMETERS] = {"topic", "value", "key", "headers", "partition", "timestamp"};

static int is_given(const PyObject *object) {
    return object != NULL && object != Py_None;
}

static const el_sender *sender_of(PyObject *state) {
    return PyLong_AsVoidPtr(PyTuple_GetItem(state, SENDER));
}

/* A new reference to what is known about a topic; NULL if Python has to look. A producer that has ended knows no topics, so the
 * signals are mapped where one is found. */
static PyObject *find_topic(PyObject *state, PyObject *name) {
    PyObject *topic = PyUnicode_CheckExact(name) ? PyDict_GetItemWithError(PyTuple_GetItem(state, TOPICS), name) : NULL;
    const el_sender *sender = sender_of(state);
    if (topic == NULL || el_signals_catalog_version(sender->signals) != sender->catalog_version)
        return NULL;
    Py_INCREF(topic);
    return topic;
}

/* The partition for a record; -1 if Python has to choose, or to say what is wrong. */
static int64_t choose(el_choice *choice, PyObject *given, const el_new_record *record) {
    int64_t number;
    if (is_given(given))
        return el_read_number(given, &number) && number < choice->partition_count ? number : -1;
    if (record->key != NULL)
        return el_partition_for_key((const char *)record->key, (size_t)record->key_length, choice->partition_count);
    if (choice->left_bytes <= 0)
        return -1;
    choice->left_bytes -= record->value_length > 0 ? record->value_length : 1;
    return choice->current;
}

/* Remember that a record was appended; 0 with an exception set on failure. */
static int is_noted(PyObject *state, PyObject *lane, PyObject *offset) {
    if (!sender_of(state)->has_notifier)
        return PyObject_SetAttr(lane, PyTuple_GetItem(state, LAST_OFFSET), offset) == 0;
    PyObject *answer = PyObject_CallFunctionObjArgs(PyTuple_GetItem(state, NOTE), lane, offset, NULL);
    Py_XDECREF(answer);
    return answer != NULL;
}

static PyObject *make_receipt(PyObject *state, PyObject *lane, int64_t offset, PyObject *timestamp) {
    PyObject *number = PyLong_FromLongLong(offset);
    if (number == NULL || !is_noted(state, lane, number)) {
        Py_XDECREF(number);
        return NULL;
    }
    Py_INCREF(lane);
    Py_INCREF(timestamp);
    PyObject *fields[RECEIPT_FIELDS] = {lane, number, timestamp};
    return el_make_tuple((PyTypeObject *)PyTuple_GetItem(state, RECEIPT), PyTuple_GetItem(state, MAKE), fields, RECEIPT_FIELDS);
}

/* The receipt; NULL without an exception set where the record is for Python to look at. */
static PyObject *send_to(PyObject *state, PyObject *topic, PyObject *const *parameters) {
    PyObject *own[EL_RECORD_PARAMETERS] = {parameters[VALUE], parameters[KEY], parameters[HEADERS], parameters[TIMESTAMP]};
    el_choice *choice = PyLong_AsVoidPtr(PyTuple_GetItem(topic, CHOICE));
    encoded_headers headers = {0};
    el_new_record record = {0};
    int64_t partition = -1, offset = -1;
    if (el_read_record(own, &headers, &record))
        partition = choose(choice, parameters[PARTITION], &record);
    if (partition >= 0) {
        PyObject *own_state = PyCFunction_GetSelf(PyTuple_GetItem(PyTuple_GetItem(topic, APPENDS), (Py_ssize_t)partition));
        offset = own_state == NULL ? -1 : el_append_with(own_state, &record);
    }
    free(headers.data);
    if (offset < 0)
        return NULL;
    int has_time = is_given(parameters[TIMESTAMP]) && !choice->sets_timestamps;
    PyObject *lane = PyTuple_GetItem(PyTuple_GetItem(topic, LANES), (Py_ssize_t)partition);
    return make_receipt(state, lane, offset, has_time ? parameters[TIMESTAMP] : Py_None);
}

static PyObject *send(PyObject *state, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *parameters[SEND_PARAMETERS] = {NULL}, *topic = NULL, *receipt = NULL;
    if (el_sort_arguments(names, SEND_PARAMETERS, arguments, count, keywords, parameters) && parameters[VALUE] != NULL)
        topic = find_topic(state, parameters[TOPIC]);
    if (topic != NULL)
        receipt = send_to(state, topic, parameters);
    Py_XDECREF(topic);
    if (receipt != NULL || PyErr_Occurred())
        return receipt;
    return el_call_python(PyTuple_GetItem(state, IN_PYTHON), arguments, count, keywords);
}

static PyMethodDef definition = {
    "send", (PyCFunction)(void (*)(void))send, METH_FASTCALL | METH_KEYWORDS,
    "send($module, /, topic, value, key=None, headers=None, partition=None, timestamp=None)\n--\n\nAs Producer.send."};

int el_new_send_function(uintptr_t list, uintptr_t state) {
    return el_append_function(list, &definition, state);
}
