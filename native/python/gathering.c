/* Records that wait to be appended together, stored as the Python objects that they are made of. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stddef.h>
#include <string.h>

#include "sending.h"
#include "types.h"

/* A list other than that of the values stays NULL while it would contain only None. Other threads may change a batch whenever an object is
 * made that the garbage collector tracks: the collector may run then, and with it Python code. */
typedef struct batch {
    PyObject_HEAD
    PyObject *lists[EL_RECORD_PARAMETERS];
    PyObject *loss;
    PyObject *halves; /* what it was split into: the number of records in the first half, and both halves */
    el_placed placed;
    unsigned long long address; /* of `placed` */
    Py_ssize_t count;
    Py_ssize_t bytes;
    Py_ssize_t bytes_max;
    Py_ssize_t record_bytes_max; /* a record of this size always fits into a batch of its own */
    char is_open;                /* not being appended */
    char needs_keys;
} batch;

/* The position of a record that is waiting, or has waited, in its batch. */
typedef struct batch_receipt {
    PyObject_HEAD
    PyObject *sender;
    PyObject *batch;
    PyObject *timestamp;
    Py_ssize_t index;
    char is_read; /* the timestamp was read from the log */
} batch_receipt;

EL_COLLECTED(batch_receipt, sender, timestamp)

static PyTypeObject *batch_type, *batch_receipt_type;

static void forget_records(batch *self) {
    PyObject *lists[EL_RECORD_PARAMETERS];
    memcpy(lists, self->lists, sizeof lists);
    memset(self->lists, 0, sizeof lists);
    self->count = self->bytes = 0;
    for (int i = 0; i < EL_RECORD_PARAMETERS; i++)
        Py_XDECREF(lists[i]);
}

static int traverse_batch(PyObject *object, visitproc visit, void *arg) {
    batch *self = (batch *)object;
    return el_traverse(object, self->lists, &self->halves, visit, arg);
}

static int clear_batch(PyObject *object) {
    batch *self = (batch *)object;
    forget_records(self);
    return el_clear(&self->loss, &self->halves);
}

static void deallocate_batch(PyObject *object) {
    PyObject_GC_UnTrack(object);
    clear_batch(object);
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

/* Make the lists that these items need; 0 with an exception set if out of memory. */
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
        field = 0; /* another thread may have changed the batch */
    }
    return 1;
}

static void cut(PyObject *list, Py_ssize_t count) {
    if (list != NULL && PyList_Size(list) > count)
        PyList_SetSlice(list, count, PyList_Size(list), NULL);
}

/* Returns the index; or, if out of memory, -1 with an exception set and nothing added. The lists exist, and no other thread can run. */
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

static PyObject *make_receipt(PyTypeObject *type, partition_sender *sender, PyObject *batch) {
    batch_receipt *receipt = (batch_receipt *)PyType_GenericAlloc(type, 0);
    if (receipt == NULL)
        return NULL;
    Py_INCREF(sender);
    Py_INCREF(batch);
    receipt->sender = (PyObject *)sender;
    receipt->batch = batch;
    return (PyObject *)receipt;
}

/* 0 if Python has to handle the record, perhaps with an exception set. */
static int is_added(batch *self, batch_receipt *receipt, PyObject *const *items, const el_new_record *record) {
    Py_ssize_t bytes = size_of(record);
    /* Check the room again once the lists exist: making them may have let other threads run. */
    if (!has_room(self, record, bytes) || !has_lists(self, items) || !has_room(self, record, bytes) ||
        (receipt->index = add(self, items, bytes)) < 0)
        return 0;
    Py_XINCREF(items[EL_TIMESTAMP]);
    receipt->timestamp = items[EL_TIMESTAMP];
    return 1;
}

PyObject *el_gather(PyTypeObject *receipt_type, partition_sender *sender, PyObject *const *parameters, const el_new_record *record) {
    PyObject *object = sender->batch;
    if (object == NULL || !PyObject_TypeCheck(object, batch_type))
        return NULL;
    Py_INCREF(object);
    PyObject *receipt = make_receipt(receipt_type, sender, object);
    if (receipt != NULL && !is_added((batch *)object, (batch_receipt *)receipt, parameters, record))
        Py_CLEAR(receipt);
    Py_DECREF(object);
    return receipt;
}

int el_is_batch_receipt_type(PyObject *type) {
    return PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, batch_receipt_type);
}

static PyObject *add_any(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    if (count != EL_RECORD_PARAMETERS + 1) {
        PyErr_SetString(PyExc_TypeError, "add(value, key, headers, timestamp, size, /)");
        return NULL;
    }
    batch *self = (batch *)object;
    Py_ssize_t bytes = PyLong_AsSsize_t(arguments[EL_RECORD_PARAMETERS]);
    if ((bytes < 0 && PyErr_Occurred()) || !has_lists(self, arguments))
        return NULL;
    Py_ssize_t index = add(self, arguments, bytes);
    return index < 0 ? NULL : PyLong_FromSsize_t(index);
}

static PyObject *append(PyObject *object, PyObject *writer_object) {
    batch *self = (batch *)object;
    writer *writer = el_as_writer(writer_object);
    int64_t count, offset = writer == NULL || self->count == 0 ? -1 : el_append_lists(writer, self->lists, &count, &self->placed);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(offset >= 0);
}

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

static PyObject *new_batch(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    (void)keywords;
    long long offset = PyTuple_Size(arguments) > 0 ? PyLong_AsLongLong(PyTuple_GetItem(arguments, 0)) : -1;
    return PyErr_Occurred() ? NULL : (PyObject *)make_batch(type, offset);
}

/* The records from start up to stop, in a batch of their own. */
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

/* Split the batch completely or not at all. */
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
    EL_FAST_METHOD("add", add_any, 0,
                   "add($self, value, key, headers, timestamp, size, /)\n--\n\n"
                   "Add a checked record of `size` bytes, and return its index in the batch."),
    {"append", append, METH_O,
     "append($self, writer, /)\n--\n\n"
     "Append the records without waiting for the disk. Returns False if Python has to do it."},
    {"forget", forget, METH_NOARGS,
     "forget($self, /)\n--\n\nForget the records: they are in the log, or never will be."},
    {"split", split, METH_NOARGS,
     "split($self, /)\n--\n\n"
     "Replace these records by two halves. `halves` is then a tuple: the number of records in the first half, and both."},
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
    {"first_offset", first_offset, NULL,
     "The offset of the first record, None until the records are in the log. From then on `is_stamped` tells whether they\n"
     "have the time of the append instead of the time that they were given.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef batch_receipt_members[] = {
    {"_sender", T_OBJECT_EX, offsetof(batch_receipt, sender), 0, NULL},
    {"_batch", T_OBJECT_EX, offsetof(batch_receipt, batch), 0, NULL},
    {"_timestamp", T_OBJECT, offsetof(batch_receipt, timestamp), 0, NULL},
    {"_index", T_PYSSIZET, offsetof(batch_receipt, index), 0, NULL},
    {"_is_read", T_BOOL, offsetof(batch_receipt, is_read), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot batch_slots[] = {
    {Py_tp_doc, "Gathered(first_offset=-1, /)\n--\n\n"
                "Records that wait to be appended together, or, with an offset, a batch that is in the log. A list is None if all\n"
                "its items would be None. Native code adds records only while `is_open`."},
    {Py_tp_new, new_batch},
    {Py_tp_traverse, traverse_batch},
    {Py_tp_clear, clear_batch},
    {Py_tp_dealloc, deallocate_batch},
    {Py_tp_methods, batch_methods},
    {Py_tp_members, batch_members},
    {Py_tp_getset, batch_attributes},
    {0, NULL},
};

static PyType_Slot batch_receipt_slots[] = {
    {Py_tp_doc, "The position, in its batch, of a record that waits to be appended or has waited."},
    {Py_tp_members, batch_receipt_members},
    EL_COLLECTED_SLOTS(batch_receipt),
    {0, NULL},
};

static PyType_Spec batch_specification = {
    .name = "eventlog._native.Gathered",
    .basicsize = sizeof(batch),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = batch_slots,
};

static PyType_Spec batch_receipt_specification = {
    .name = "eventlog._native.BaseBatchReceipt",
    .basicsize = sizeof(batch_receipt),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = batch_receipt_slots,
};

int el_add_gathering(PyObject *module) {
    batch_type = el_add_type(module, &batch_specification);
    batch_receipt_type = batch_type == NULL ? NULL : el_add_type(module, &batch_receipt_specification);
    return batch_receipt_type != NULL;
}
