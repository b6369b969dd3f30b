/* Iterators over a partition's records. Each step decodes one record, so that its objects are freed before the next ones are made, which
 * then find their memory in the nearest cache.
 *
 * A step runs no Python code while the reader has checked batches. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "calls.h"
#include "types.h"

typedef struct iterator {
    PyObject_HEAD
    PyObject *owner; /* the reader, of which the rest is borrowed */
    PyObject *load;
    el_reader *reader;
    int64_t stop_offset;
    int is_busy; /* another caller must not decode a batch that is being used or replaced */
    int has_records;
    record_maker maker;
} iterator;

static int traverse(PyObject *object, visitproc visit, void *arg) {
    iterator *self = (iterator *)object;
    return el_traverse(object, &self->owner, &self->load, visit, arg);
}

/* It cannot be cleared, because it may be in the middle of a step. The objects that it refers to can be. */
static void deallocate(PyObject *object) {
    iterator *self = (iterator *)object;
    PyObject_GC_UnTrack(object);
    el_maker_clear(&self->maker);
    el_clear(&self->owner, &self->load);
    el_free_object(object);
}

/* Returns 1 if batches were loaded, 0 at the end, or -1 with an exception set. */
static int load(iterator *self, int64_t status) {
    PyObject *number = PyLong_FromLongLong(status);
    if (number == NULL)
        return -1;
    PyObject *answer = PyObject_CallFunctionObjArgs(self->load, number, NULL);
    Py_DECREF(number);
    int has_more = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return has_more;
}

static PyObject *make(iterator *self, const el_record *record) {
    if (!self->has_records)
        return el_make_bytes(record->value, record->value_length);
    PyObject *made = el_make_record(&self->maker, self->reader, record);
    if (made == NULL && !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_Clear();
        self->reader->codec_status = EL_CODEC_BAD_RECORD;
        load(self, -1);
    }
    return made;
}

static PyObject *next_object(iterator *self) {
    for (;;) {
        el_record record;
        int more = el_reader_next(self->reader, self->stop_offset, &record);
        if (more == 1)
            return make(self, &record);
        if (load(self, more) != 1)
            return NULL;
    }
}

/* Making a record may run the garbage collector, and with it any code: a finalizer or another thread may continue this same iterator. */
__attribute__((flatten)) static PyObject *next(PyObject *object) {
    iterator *self = (iterator *)object;
    if (self->is_busy) {
        load(self, EL_TAKEN_BUSY);
        return NULL;
    }
    self->is_busy = 1;
    PyObject *made = next_object(self);
    self->is_busy = 0;
    return made;
}

static PyObject *new_iterator(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *reader_object, *load_function;
    long long stop_offset;
    int has_records;
    if (keywords != NULL ||
        !PyArg_ParseTuple(arguments, "OOLp:PartitionIterator", &reader_object, &load_function, &stop_offset, &has_records))
        return NULL;
    reader *reader = el_as_reader(reader_object);
    if (reader == NULL) {
        PyErr_SetString(PyExc_TypeError, "PartitionIterator(reader, load, stop_offset, has_records, /): the reader is a BaseReader");
        return NULL;
    }
    iterator *self = (iterator *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(reader_object);
    Py_INCREF(load_function);
    self->owner = reader_object;
    self->load = load_function;
    self->reader = reader->native;
    self->stop_offset = stop_offset;
    self->has_records = has_records;
    self->maker = el_maker_of(reader);
    return (PyObject *)self;
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "PartitionIterator(reader, load, stop_offset, has_records, /)\n--\n\n"
                "The values, or with `has_records` the records, below `stop_offset`.\n\n"
                "load(status) puts checked batches into the reader, and returns False at the end. For a negative status, as the\n"
                "reader's `take` returns it, it raises the error that the status stands for."},
    {Py_tp_new, new_iterator},
    {Py_tp_traverse, traverse},
    {Py_tp_dealloc, deallocate},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, next},
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.PartitionIterator",
    .basicsize = sizeof(iterator),
    .flags = EL_COLLECTED_FLAGS,
    .slots = slots,
};

int el_add_iterators(PyObject *module) {
    return el_add_type(module, &specification) != NULL;
}
