/* A producer's send: choosing the partition, appending or letting wait, and making the receipt, without a step in Python. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stddef.h>
#include <time.h>

#include "../codec/murmur2.h"
#include "calls.h"
#include "functions.h"
#include "gathering.h"
#include "types.h"

enum { TOPIC, VALUE, KEY, HEADERS, PARTITION, TIMESTAMP, SEND_PARAMETERS };
enum { SENDER, IN_PYTHON, TOPICS, RECEIPT, NOTE, LAST_OFFSET, BATCH }; /* places in the state */
enum { CHOICE, LANES, APPENDS };                                       /* places in a topic */

#define STAY_MS 50

static const char *const names[SEND_PARAMETERS] = {"topic", "value", "key", "headers", "partition", "timestamp"};

static int is_given(const PyObject *object) {
    return object != NULL && object != Py_None;
}

static const el_sender *sender_of(PyObject *state) {
    return PyLong_AsVoidPtr(PyTuple_GetItem(state, SENDER));
}

/* A new reference to what is known about a topic; NULL if Python has to look. */
static PyObject *find_topic(PyObject *state, PyObject *name) {
    PyObject *topic = PyUnicode_CheckExact(name) ? PyDict_GetItemWithError(PyTuple_GetItem(state, TOPICS), name) : NULL;
    const el_sender *sender = sender_of(state);
    if (topic == NULL || el_signals_catalog_version(sender->signals) != sender->catalog_version)
        return NULL;
    Py_INCREF(topic);
    return topic;
}

static int64_t coarse_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Source: Marsaglia, "Xorshift RNGs" (2003). */
static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void advance(el_choice *choice) {
    if (choice->used >= choice->partition_count)
        choice->used = 0;
    int32_t *rest = choice->order + choice->used;
    uint64_t count = (uint64_t)(choice->partition_count - choice->used);
    uint64_t at = next_random(&choice->random) % count;
    if (rest[at] == choice->current)
        at = (at + 1) % count; /* the last one of a cycle is not the first one of the next */
    int32_t chosen = rest[at];
    rest[at] = rest[0];
    rest[0] = chosen;
    choice->used++;
    choice->current = chosen;
    choice->left_bytes = choice->stay_bytes;
    choice->since_ms = coarse_ms();
}

void el_choice_advance(el_choice *choice) {
    PyGILState_STATE lock = PyGILState_Ensure();
    advance(choice);
    PyGILState_Release(lock);
}

/* A batch that waits is complete: Python appends it before others are begun. */
static int64_t choose_sticky(el_choice *choice, int lingers) {
    if (choice->partition_count == 1)
        return 0;
    if (lingers)
        return choice->left_bytes > 0 ? choice->current : -1;
    if (choice->left_bytes <= 0 || coarse_ms() - choice->since_ms >= STAY_MS)
        advance(choice);
    return choice->current;
}

/* The partition for a record; -1 if Python has to choose, or to say what is wrong. */
static int64_t choose(el_choice *choice, PyObject *given, const el_new_record *record, int lingers) {
    int64_t number;
    if (is_given(given))
        return el_read_number(given, &number) && number < choice->partition_count ? number : -1;
    if (record->key != NULL)
        return el_partition_for_key((const char *)record->key, (size_t)record->key_length, choice->partition_count);
    return choose_sticky(choice, lingers);
}

/* Count a record that was sent to the partition for records without a key. */
static void count_sticky(el_choice *choice, PyObject *given, const el_new_record *record) {
    if (is_given(given) || record->key != NULL)
        return;
    int64_t bytes =
        choice->overhead_bytes + (record->value_length > 0 ? record->value_length : 0) + (int64_t)record->headers_length;
    choice->left_bytes -= bytes < choice->least_bytes ? choice->least_bytes : bytes;
}

/* A record's place in the log, as a receipt has it. */
typedef struct place {
    PyObject_HEAD
    PyObject *lane;
    PyObject *offset;
    PyObject *timestamp;
} place;

static void deallocate(PyObject *object) {
    place *self = (place *)object;
    Py_XDECREF(self->lane);
    Py_XDECREF(self->offset);
    Py_XDECREF(self->timestamp);
    el_free_object(object);
}

static PyMemberDef members[] = {
    {"_lane", T_OBJECT_EX, offsetof(place, lane), READONLY, NULL},
    {"_offset", T_OBJECT_EX, offsetof(place, offset), READONLY, NULL},
    {"_timestamp", T_OBJECT_EX, offsetof(place, timestamp), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "A record's place in the log."},
    {Py_tp_dealloc, deallocate},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog.Place",
    .basicsize = sizeof(place),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int el_new_place_type(uintptr_t list) {
    PyGILState_STATE lock = PyGILState_Ensure();
    int is_done = el_hand_over(list, PyType_FromSpec(&specification));
    PyGILState_Release(lock);
    return is_done;
}

static PyObject *make_receipt(PyObject *state, PyObject *lane, int64_t offset, int64_t timestamp) {
    place *receipt = (place *)PyType_GenericAlloc((PyTypeObject *)PyTuple_GetItem(state, RECEIPT), 0);
    if (receipt == NULL)
        return NULL;
    Py_INCREF(lane);
    receipt->lane = lane;
    receipt->offset = PyLong_FromLongLong(offset);
    receipt->timestamp = PyLong_FromLongLong(timestamp);
    if (receipt->offset != NULL && receipt->timestamp != NULL)
        return (PyObject *)receipt;
    Py_DECREF(receipt);
    return NULL;
}

/* Tell who wants to know of it that a record was appended; 0 with an exception set on failure. */
static int is_noted(PyObject *state, PyObject *lane, PyObject *offset) {
    PyObject *answer = PyObject_CallFunctionObjArgs(PyTuple_GetItem(state, NOTE), lane, offset, NULL);
    Py_XDECREF(answer);
    return answer != NULL;
}

/* Remember that a record was appended; 0 with an exception set on failure. */
static int is_remembered(PyObject *state, const place *receipt) {
    if (sender_of(state)->has_notifier)
        return is_noted(state, receipt->lane, receipt->offset);
    return PyObject_SetAttr(receipt->lane, PyTuple_GetItem(state, LAST_OFFSET), receipt->offset) == 0;
}

/* The receipt; NULL without an exception set where the record is for Python to look at. */
static PyObject *append_now(PyObject *state, PyObject *lane, PyObject *append, el_new_record *record, int may_wait) {
    PyObject *append_state = el_append_state(append);
    int64_t offset = append_state == NULL ? -1
                     : may_wait           ? el_append_with(append_state, record)
                                          : el_append_at_once(append_state, record);
    PyObject *receipt = offset < 0 ? NULL : make_receipt(state, lane, offset, record->stored_timestamp);
    if (receipt != NULL && !is_remembered(state, (const place *)receipt)) {
        Py_DECREF(receipt);
        return NULL;
    }
    return receipt;
}

/* The same for a record that is to wait. */
static PyObject *let_wait(PyObject *state, PyObject *lane, PyObject *const *own, const el_new_record *record) {
    PyObject *batch = PyObject_GetAttr(lane, PyTuple_GetItem(state, BATCH));
    PyTypeObject *receipt_type = (PyTypeObject *)PyTuple_GetItem(state, RECEIPT);
    PyObject *receipt = batch == NULL ? NULL : el_gather(receipt_type, lane, batch, own, record);
    Py_XDECREF(batch);
    return receipt;
}

/* The same for any. */
static PyObject *send_to(PyObject *state, PyObject *topic, PyObject *const *parameters, int may_wait) {
    PyObject *own[EL_RECORD_PARAMETERS] = {parameters[VALUE], parameters[KEY], parameters[HEADERS], parameters[TIMESTAMP]};
    el_choice *choice = PyLong_AsVoidPtr(PyTuple_GetItem(topic, CHOICE));
    encoded_headers headers;
    el_new_record record = {0};
    PyObject *receipt = NULL, *kept = NULL;
    int64_t partition = -1;
    if (sender_of(state)->lingers && is_given(own[EL_HEADERS]) && PyList_Check(own[EL_HEADERS])) {
        own[EL_HEADERS] = kept = PyList_AsTuple(own[EL_HEADERS]); /* the caller may change the list */
        if (kept == NULL)
            return NULL;
    }
    el_headers_begin(&headers);
    if (el_read_record(own, &headers, &record))
        partition = choose(choice, parameters[PARTITION], &record, sender_of(state)->lingers);
    if (partition >= 0) {
        PyObject *lane = PyTuple_GetItem(PyTuple_GetItem(topic, LANES), (Py_ssize_t)partition);
        PyObject *append = PyTuple_GetItem(PyTuple_GetItem(topic, APPENDS), (Py_ssize_t)partition);
        receipt = sender_of(state)->lingers ? let_wait(state, lane, own, &record)
                                            : append_now(state, lane, append, &record, may_wait);
    }
    el_headers_free(&headers);
    Py_XDECREF(kept);
    if (receipt != NULL)
        count_sticky(choice, parameters[PARTITION], &record);
    return receipt;
}

/* The receipt; NULL without an exception set where the record is for Python to look at. */
static PyObject *send_plainly(PyObject *state, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords, int may_wait) {
    PyObject *parameters[SEND_PARAMETERS] = {NULL}, *topic = NULL, *receipt = NULL;
    if (el_sort_arguments(names, SEND_PARAMETERS, arguments, count, keywords, parameters) && parameters[VALUE] != NULL)
        topic = find_topic(state, parameters[TOPIC]);
    if (topic != NULL)
        receipt = send_to(state, topic, parameters, may_wait);
    Py_XDECREF(topic);
    return receipt;
}

static PyObject *send(PyObject *state, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *receipt = send_plainly(state, arguments, count, keywords, 1);
    if (receipt != NULL || PyErr_Occurred())
        return receipt;
    return el_call_python(PyTuple_GetItem(state, IN_PYTHON), arguments, count, keywords);
}

static PyObject *send_at_once(PyObject *state, PyObject *const *arguments, Py_ssize_t count) {
    PyObject *receipt = send_plainly(state, arguments, count, NULL, 0);
    if (receipt != NULL || PyErr_Occurred())
        return receipt;
    Py_INCREF(Py_None);
    return Py_None;
}

static PyMethodDef definition = {
    "send", (PyCFunction)(void (*)(void))send, METH_FASTCALL | METH_KEYWORDS,
    "send($module, /, topic, value, key=None, headers=None, partition=None, timestamp=None)\n--\n\nAs Producer.send."};

static PyMethodDef at_once_definition = {
    "send_at_once", (PyCFunction)(void (*)(void))send_at_once, METH_FASTCALL,
    "send_at_once($module, topic, value, key, headers, partition, timestamp, /)\n--\n\nAs Producer.send, or None where that would wait."};

int el_new_send_function(uintptr_t list, uintptr_t state) {
    return el_append_function(list, &definition, state);
}

int el_new_send_at_once_function(uintptr_t list, uintptr_t state) {
    return el_append_function(list, &at_once_definition, state);
}
