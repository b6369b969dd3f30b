/* A producer's partitions, and the choice of the one that a record goes to. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "../codec/murmur2.h"
#include "sending.h"
#include "types.h"

#define STAY_MS 50

static PyTypeObject *sender_type, *choice_type;

EL_COLLECTED(partition_sender, writer, batch)

static int begin_sender(PyObject *object, PyObject *arguments, PyObject *keywords) {
    partition_sender *self = (partition_sender *)object;
    PyObject *writer;
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "O:BasePartitionSender", &writer))
        return -1;
    if (self->writer != NULL || el_as_writer(writer) == NULL) {
        PyErr_SetString(PyExc_TypeError, "BasePartitionSender(writer, /), once; the writer is a BaseWriter");
        return -1;
    }
    Py_INCREF(writer);
    self->writer = writer;
    return 0;
}

static PyMemberDef sender_members[] = {
    {"_batch", T_OBJECT_EX, offsetof(partition_sender, batch), 0, NULL},
    {"last_offset", T_LONGLONG, offsetof(partition_sender, last_offset), 0,
     "About the last offset that the producer knows to be its own."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot sender_slots[] = {
    {Py_tp_doc, "BasePartitionSender(writer, /)\n--\n\nWhat native code knows of a producer's way into one partition."},
    {Py_tp_init, begin_sender},
    {Py_tp_members, sender_members},
    EL_COLLECTED_SLOTS(partition_sender),
    {0, NULL},
};

static PyType_Spec sender_specification = {
    .name = "eventlog._native.BasePartitionSender",
    .basicsize = sizeof(partition_sender),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = sender_slots,
};

static int traverse_choice(PyObject *object, visitproc visit, void *arg) {
    PyObject **senders = &((partition_choice *)object)->senders;
    return el_traverse(object, senders, senders, visit, arg);
}

/* It cannot be cleared, like a tuple: native code relies on its senders. These clear what they refer to. */
static void deallocate_choice(PyObject *object) {
    partition_choice *self = (partition_choice *)object;
    PyObject_GC_UnTrack(object);
    Py_CLEAR(self->senders);
    free(self->order);
    el_free_object(object);
}

static int are_senders(PyObject *senders) {
    for (Py_ssize_t i = 0; i < PyTuple_Size(senders); i++)
        if (!PyObject_TypeCheck(PyTuple_GetItem(senders, i), sender_type))
            return 0;
    return 1;
}

static int fill_order(partition_choice *self) {
    self->order = malloc((size_t)self->partition_count * sizeof *self->order);
    for (int32_t i = 0; self->order != NULL && i < self->partition_count; i++)
        self->order[i] = i;
    return self->order != NULL;
}

static PyObject *new_choice(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *senders;
    unsigned long long random;
    long long stay_bytes, overhead_bytes, least_bytes;
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "O!LLLK:PartitionChoice", &PyTuple_Type, &senders, &stay_bytes,
                                              &overhead_bytes, &least_bytes, &random))
        return NULL;
    if (!are_senders(senders) || PyTuple_Size(senders) < 1 || PyTuple_Size(senders) > INT32_MAX) {
        PyErr_SetString(PyExc_TypeError, "PartitionChoice: the senders are a tuple of at least one BasePartitionSender");
        return NULL;
    }
    partition_choice *self = (partition_choice *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(senders);
    self->senders = senders;
    self->partition_count = (int32_t)PyTuple_Size(senders);
    self->current = -1;
    self->stay_bytes = stay_bytes;
    self->overhead_bytes = overhead_bytes;
    self->least_bytes = least_bytes;
    self->random = random | 1;
    if (fill_order(self))
        return (PyObject *)self;
    Py_DECREF(self);
    return PyErr_NoMemory();
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

static void advance(partition_choice *choice) {
    if (choice->used >= choice->partition_count)
        choice->used = 0;
    int32_t *rest = choice->order + choice->used;
    uint64_t count = (uint64_t)(choice->partition_count - choice->used);
    uint64_t at = next_random(&choice->random) % count;
    if (rest[at] == choice->current)
        at = (at + 1) % count; /* the last partition of a cycle must not be the first of the next */
    int32_t chosen = rest[at];
    rest[at] = rest[0];
    rest[0] = chosen;
    choice->used++;
    choice->current = chosen;
    choice->left_bytes = choice->stay_bytes;
    choice->since_ms = coarse_ms();
}

static void count_bytes(partition_choice *choice, int64_t bytes) {
    bytes += choice->overhead_bytes;
    choice->left_bytes -= bytes < choice->least_bytes ? choice->least_bytes : bytes;
}

static PyObject *advance_method(PyObject *object, PyObject *unused) {
    (void)unused;
    advance((partition_choice *)object);
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *count_method(PyObject *object, PyObject *bytes) {
    long long count = PyLong_AsLongLong(bytes);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    count_bytes((partition_choice *)object, count);
    Py_INCREF(Py_None);
    return Py_None;
}

static PyMethodDef choice_methods[] = {
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "The same type, for type checkers."},
    {"advance", advance_method, METH_NOARGS, "advance($self, /)\n--\n\nGo to the next partition for records without a key."},
    {"count", count_method, METH_O,
     "count($self, size, /)\n--\n\nCount a record of `size` bytes that was sent to the partition for records without a key."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef choice_members[] = {
    {"senders", T_OBJECT_EX, offsetof(partition_choice, senders), READONLY, "One for each partition."},
    {"current", T_INT, offsetof(partition_choice, current), READONLY,
     "The partition that gets records without a key, -1 before the first one."},
    {"left_bytes", T_LONGLONG, offsetof(partition_choice, left_bytes), READONLY, "So many bytes more it gets."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot choice_slots[] = {
    {Py_tp_doc, "PartitionChoice(senders, stay_bytes, overhead_bytes, least_bytes, seed, /)\n--\n\n"
                "A topic's partitions, and the one that gets records without a key. It stays the same until it has got `stay_bytes`,\n"
                "where each record counts as `overhead_bytes` more than its size, and as `least_bytes` at least."},
    {Py_tp_new, new_choice},
    {Py_tp_methods, choice_methods},
    {Py_tp_members, choice_members},
    {Py_tp_traverse, traverse_choice},
    {Py_tp_dealloc, deallocate_choice},
    {0, NULL},
};

static PyType_Spec choice_specification = {
    .name = "eventlog._native.PartitionChoice",
    .basicsize = sizeof(partition_choice),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = choice_slots,
};

partition_choice *el_as_choice(PyObject *object) {
    return PyObject_TypeCheck(object, choice_type) ? (partition_choice *)object : NULL;
}

partition_sender *el_sender_of(const partition_choice *choice, int64_t partition) {
    return (partition_sender *)PyTuple_GetItem(choice->senders, (Py_ssize_t)partition);
}

/* -1 if the waiting batch is complete: then Python appends it before it begins another one. */
static int64_t choose_sticky(partition_choice *choice, int lingers) {
    if (choice->partition_count == 1)
        return 0;
    if (lingers)
        return choice->left_bytes > 0 ? choice->current : -1;
    if (choice->left_bytes <= 0 || coarse_ms() - choice->since_ms >= STAY_MS)
        advance(choice);
    return choice->current;
}

static int is_given(const PyObject *object) {
    return object != NULL && object != Py_None;
}

int64_t el_choose(partition_choice *choice, PyObject *given, const el_new_record *record, int lingers) {
    int64_t number;
    if (is_given(given))
        return el_read_number(given, &number) && number < choice->partition_count ? number : -1;
    if (record->key != NULL)
        return el_partition_for_key((const char *)record->key, (size_t)record->key_length, choice->partition_count);
    return choose_sticky(choice, lingers);
}

void el_count_sticky(partition_choice *choice, PyObject *given, const el_new_record *record) {
    if (!is_given(given) && record->key == NULL)
        count_bytes(choice, (record->value_length > 0 ? record->value_length : 0) + (int64_t)record->headers_length);
}

int el_add_choosing(PyObject *module) {
    sender_type = el_add_type(module, &sender_specification);
    choice_type = sender_type == NULL ? NULL : el_add_type(module, &choice_specification);
    return choice_type != NULL && PyModule_AddIntConstant(module, "GATHERED_OVERHEAD_BYTES", EL_GATHERED_OVERHEAD_BYTES) == 0;
}
