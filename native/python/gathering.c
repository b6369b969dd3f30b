#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "gathering.h"

#include <stddef.h>
#include <string.h>

#include "functions.h"
#include "types.h"

/* A list but that of the values stays NULL as long as it would hold nothing but None. Other threads may change a batch whenever an
 * object is made that the garbage collector knows: it may run, and with it Python code. */
typedef struct batch {
    PyObject_HEAD
    PyObject *lists[EL_RECORD_PARAMETERS];
    PyObject *loss;
    PyObject *halves; /* what it was split into: how many records the first one has, and both */
    el_placed placed;
    unsigned long long address; /* of `placed` */
    Py_ssize_t count;
    Py_ssize_t bytes;
    Py_ssize_t bytes_max;
    Py_ssize_t record_bytes_max; /* a record of so many bytes fits into a batch of its own, whatever else it has */
    char is_open;                /* not being appended */
    char needs_keys;
} batch;

/* The place of a record that waits, or has waited. */
typedef struct waiting {
    PyObject_HEAD
    PyObject *lane;
    PyObject *batch;
    PyObject *timestamp;
    Py_ssize_t place;
    char is_read; /* the timestamp, from the log */
} waiting;

static PyTypeObject *batch_type;

static void forget_records(batch *self) {
    PyObject *lists[EL_RECORD_PARAMETERS];
    memcpy(lists, self->lists, sizeof lists);
    memset(self->lists, 0, sizeof lists);
    self->count = self->bytes = 0;
    for (int i = 0; i < EL_RECORD_PARAMETERS; i++)
        Py_XDECREF(lists[i]);
}

static void deallocate_batch(PyObject *object) {
    batch *self = (batch *)object;
    forget_records(self);
    Py_XDECREF(self->loss);
    Py_XDECREF(self->halves);
    el_free_object(object);
}

static void deallocate_waiting(PyObject *object) {
    waiting *self = (waiting *)object;
    Py_XDECREF(self->lane);
    Py_XDECREF(self->batch);
    Py_XDECREF(self->timestamp);
    el_free_object(object);
}

static PyObject *list_of_none(Py_ssize_t count) {
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        Py_INCREF(Py_None);
        PyList_SetItem(list, i, Py_None);
    }
    return list;
}

static int is_list_missing(const batch *self, PyObject *const *items, int field) {
    int is_needed = field == EL_VALUE || (items[field] != NULL && items[field] != Py_None);
    return self->lists[field] == NULL && is_needed;
}

/* Have the lists that these items need; 0 with an exception set where memory ran out. */
static int has_lists(batch *self, PyObject *const *items) {
    int field = 0;
    while (field < EL_RECORD_PARAMETERS) {
        if (!is_list_missing(self, items, field)) {
            field++;
            continue;
        }
        PyObject *list = list_of_none(self->count);
        if (list == NULL)
            return 0;
        if (self->lists[field] == NULL && PyList_Size(list) == self->count)
            self->lists[field] = list;
        else
            Py_DECREF(list);
        field = 0; /* another thread may have been here */
    }
    return 1;
}

static void cut(PyObject *list, Py_ssize_t count) {
    if (list != NULL && PyList_Size(list) > count)
        PyList_SetSlice(list, count, PyList_Size(list), NULL);
}

/* The place; or -1 with an exception set and nothing added where memory ran out. The lists are there, and no other thread comes by. */
static Py_ssize_t add(batch *self, PyObject *const *items, Py_ssize_t bytes) {
    int is_added = 1;
    for (int i = 0; is_added && i < EL_RECORD_PARAMETERS; i++)
        is_added = self->lists[i] == NULL || PyList_Append(self->lists[i], items[i] == NULL ? Py_None : items[i]) == 0;
    if (is_added) {
        self->bytes += bytes;
        return self->count++;
    }
    for (int i = 0; i < EL_RECORD_PARAMETERS; i++)
        cut(self->lists[i], self->count);
    return -1;
}

static int has_room(const batch *self, const el_new_record *record, Py_ssize_t bytes) {
    int is_keyed = record->key != NULL || !self->needs_keys;
    int is_waiting = self->is_open && self->count > 0 && self->placed.first_offset < 0;
    return is_waiting && is_keyed && bytes <= self->record_bytes_max && bytes <= self->bytes_max - self->bytes;
}

static Py_ssize_t size_of(const el_new_record *record) {
    return EL_GATHERED_OVERHEAD_BYTES + (Py_ssize_t)(record->value_length > 0 ? record->value_length : 0) +
           (Py_ssize_t)(record->key_length > 0 ? record->key_length : 0) + (Py_ssize_t)record->headers_length;
}

static PyObject *make_receipt(PyTypeObject *type, PyObject *lane, PyObject *batch) {
    waiting *receipt = (waiting *)PyType_GenericAlloc(type, 0);
    if (receipt == NULL)
        return NULL;
    Py_INCREF(lane);
    Py_INCREF(batch);
    receipt->lane = lane;
    receipt->batch = batch;
    return (PyObject *)receipt;
}

/* 0 where the record is for Python to look at, perhaps with an exception set. */
static int is_added(batch *self, waiting *receipt, PyObject *const *items, const el_new_record *record) {
    Py_ssize_t bytes = size_of(record);
    /* It has room only if it still has once there are lists. */
    if (!has_room(self, record, bytes) || !has_lists(self, items) || !has_room(self, record, bytes) ||
        (receipt->place = add(self, items, bytes)) < 0)
        return 0;
    Py_XINCREF(items[EL_TIMESTAMP]);
    receipt->timestamp = items[EL_TIMESTAMP];
    return 1;
}

PyObject *el_gather(PyTypeObject *receipt_type, PyObject *lane, PyObject *object, PyObject *const *parameters,
                    const el_new_record *record) {
    if (!PyObject_TypeCheck(object, batch_type))
        return NULL;
    PyObject *receipt = make_receipt(receipt_type, lane, object);
    if (receipt != NULL && !is_added((batch *)object, (waiting *)receipt, parameters, record)) {
        Py_DECREF(receipt);
        return NULL;
    }
    return receipt;
}

/* add(value, key, headers, timestamp, bytes) -> place: a record that was looked at. */
static PyObject *add_any(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    if (count != EL_RECORD_PARAMETERS + 1) {
        PyErr_SetString(PyExc_TypeError, "add(value, key, headers, timestamp, bytes)");
        return NULL;
    }
    batch *self = (batch *)object;
    Py_ssize_t bytes = PyLong_AsSsize_t(arguments[EL_RECORD_PARAMETERS]);
    if ((bytes < 0 && PyErr_Occurred()) || !has_lists(self, arguments))
        return NULL;
    Py_ssize_t place = add(self, arguments, bytes);
    return place < 0 ? NULL : PyLong_FromSsize_t(place);
}

/* append(function) -> bool: append the records to the partition that has this append function; False where that is for Python. */
static PyObject *append(PyObject *object, PyObject *function) {
    batch *self = (batch *)object;
    PyObject *state = el_append_state(function);
    int64_t count, offset = state == NULL || self->count == 0 ? -1 : el_append_lists(state, self->lists, &count, &self->placed);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(offset >= 0);
}

/* forget(): the records are in the log, or never will be. */
static PyObject *forget(PyObject *object, PyObject *unused) {
    (void)unused;
    forget_records((batch *)object);
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *first_offset(PyObject *object, void *unused) {
    (void)unused;
    int64_t offset = ((batch *)object)->placed.first_offset;
    if (offset >= 0)
        return PyLong_FromLongLong(offset);
    Py_INCREF(Py_None);
    return Py_None;
}

static batch *make_batch(PyTypeObject *type, int64_t first_offset) {
    batch *self = (batch *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->placed.first_offset = first_offset;
    self->address = (uintptr_t)&self->placed;
    return self;
}

/* Gathered(first_offset=-1) */
static PyObject *new_batch(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    (void)keywords;
    long long offset = PyTuple_Size(arguments) > 0 ? PyLong_AsLongLong(PyTuple_GetItem(arguments, 0)) : -1;
    return PyErr_Occurred() ? NULL : (PyObject *)make_batch(type, offset);
}

/* Some of the records, in a batch of their own. */
static PyObject *make_part(const batch *self, Py_ssize_t start, Py_ssize_t stop) {
    batch *part = make_batch(batch_type, -1);
    for (int i = 0; part != NULL && i < EL_RECORD_PARAMETERS; i++) {
        if (self->lists[i] == NULL)
            continue;
        part->lists[i] = PyList_GetSlice(self->lists[i], start, stop);
        if (part->lists[i] == NULL)
            Py_CLEAR(part);
    }
    if (part != NULL)
        part->count = stop - start;
    return (PyObject *)part;
}

/* split(): have two halves in the place of these records. It is done as a whole or not at all. */
static PyObject *split(PyObject *object, PyObject *unused) {
    (void)unused;
    batch *self = (batch *)object;
    Py_ssize_t at = self->count / 2;
    PyObject *first = make_part(self, 0, at);
    PyObject *second = first == NULL ? NULL : make_part(self, at, self->count);
    self->halves = second == NULL ? NULL : Py_BuildValue("nOO", at, first, second);
    Py_XDECREF(first);
    Py_XDECREF(second);
    if (self->halves == NULL)
        return NULL;
    forget_records(self);
    Py_INCREF(Py_None);
    return Py_None;
}

static PyMethodDef batch_methods[] = {
    {"add", (PyCFunction)(void (*)(void))add_any, METH_FASTCALL, NULL},
    {"append", append, METH_O, NULL},
    {"forget", forget, METH_NOARGS, NULL},
    {"split", split, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef batch_members[] = {
    {"values", T_OBJECT, offsetof(batch, lists[EL_VALUE]), READONLY, NULL},
    {"keys", T_OBJECT, offsetof(batch, lists[EL_KEY]), READONLY, NULL},
    {"headers", T_OBJECT, offsetof(batch, lists[EL_HEADERS]), READONLY, NULL},
    {"timestamps", T_OBJECT, offsetof(batch, lists[EL_TIMESTAMP]), READONLY, NULL},
    {"address", T_ULONGLONG, offsetof(batch, address), READONLY, NULL},
    {"is_stamped", T_INT, offsetof(batch, placed.is_stamped), 0, NULL},
    {"loss", T_OBJECT, offsetof(batch, loss), 0, NULL},
    {"halves", T_OBJECT, offsetof(batch, halves), READONLY, NULL},
    {"count", T_PYSSIZET, offsetof(batch, count), READONLY, NULL},
    {"size_bytes", T_PYSSIZET, offsetof(batch, bytes), READONLY, NULL},
    {"bytes_max", T_PYSSIZET, offsetof(batch, bytes_max), 0, NULL},
    {"record_bytes_max", T_PYSSIZET, offsetof(batch, record_bytes_max), 0, NULL},
    {"is_open", T_BOOL, offsetof(batch, is_open), 0, NULL},
    {"needs_keys", T_BOOL, offsetof(batch, needs_keys), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef batch_attributes[] = {
    {"first_offset", first_offset, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef waiting_members[] = {
    {"_lane", T_OBJECT_EX, offsetof(waiting, lane), 0, NULL},
    {"_batch", T_OBJECT_EX, offsetof(waiting, batch), 0, NULL},
    {"_timestamp", T_OBJECT, offsetof(waiting, timestamp), 0, NULL},
    {"_place", T_PYSSIZET, offsetof(waiting, place), 0, NULL},
    {"_is_read", T_BOOL, offsetof(waiting, is_read), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot batch_slots[] = {
    {Py_tp_doc, "Records that wait to be appended together."},
    {Py_tp_new, new_batch},
    {Py_tp_dealloc, deallocate_batch},
    {Py_tp_methods, batch_methods},
    {Py_tp_members, batch_members},
    {Py_tp_getset, batch_attributes},
    {0, NULL},
};

static PyType_Slot waiting_slots[] = {
    {Py_tp_doc, "The place of a record that waits, or has waited, to be appended."},
    {Py_tp_dealloc, deallocate_waiting},
    {Py_tp_members, waiting_members},
    {0, NULL},
};

static PyType_Spec batch_specification = {
    .name = "eventlog.Gathered",
    .basicsize = sizeof(batch),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = batch_slots,
};

static PyType_Spec waiting_specification = {
    .name = "eventlog.Waiting",
    .basicsize = sizeof(waiting),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = waiting_slots,
};

int el_new_gathering_types(uintptr_t list) {
    PyGILState_STATE lock = PyGILState_Ensure();
    batch_type = (PyTypeObject *)PyType_FromSpec(&batch_specification);
    Py_XINCREF(batch_type);
    int is_done = el_hand_over(list, (PyObject *)batch_type) && el_hand_over(list, PyType_FromSpec(&waiting_specification));
    PyGILState_Release(lock);
    return is_done;
}
