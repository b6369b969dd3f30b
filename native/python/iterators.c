#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "iterators.h"

#include "making.h"

enum { READER, LOAD, RECORD_TYPE, MAKE, TOPIC, PARTITION }; /* places in the state */

typedef struct iterator {
    PyObject_HEAD
    PyObject *state;
    el_reader *reader;
    int64_t stop_offset;
    int is_busy; /* whoever comes meanwhile must not decode what is being used or replaced */
    int has_records;
    record_maker maker;
} iterator;

static void deallocate(PyObject *object) {
    iterator *self = (iterator *)object;
    PyTypeObject *type = Py_TYPE(object);
    el_maker_clear(&self->maker);
    Py_XDECREF(self->state);
    PyObject_Free(object);
    Py_DECREF(type);
}

/* 1, 0 at the end, or -1 with an exception set. */
static int load(iterator *self, int64_t status) {
    PyObject *number = PyLong_FromLongLong(status);
    if (number == NULL)
        return -1;
    PyObject *answer = PyObject_CallFunctionObjArgs(PyTuple_GetItem(self->state, LOAD), number, NULL);
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

/* Making a record may run the garbage collector, and with it any code: a finalizer that goes on with this very iterator, or another
 * thread that does. */
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

static PyType_Slot slots[] = {
    {Py_tp_doc, "The values or records of a partition, in order."},
    {Py_tp_dealloc, deallocate},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, next},
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog.PartitionIterator",
    .basicsize = sizeof(iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

static PyObject *new_iterator(PyObject *state, int64_t stop_offset, int has_records) {
    static PyTypeObject *type;
    if (type == NULL)
        type = (PyTypeObject *)PyType_FromSpec(&specification);
    iterator *self = type == NULL ? NULL : PyObject_New(iterator, type);
    if (self == NULL)
        return NULL;
    Py_INCREF(state);
    self->state = state;
    self->reader = PyLong_AsVoidPtr(PyTuple_GetItem(state, READER));
    self->stop_offset = stop_offset;
    self->is_busy = 0;
    self->has_records = has_records;
    self->maker = (record_maker){(PyTypeObject *)PyTuple_GetItem(state, RECORD_TYPE), PyTuple_GetItem(state, MAKE),
                                 PyTuple_GetItem(state, TOPIC), PyTuple_GetItem(state, PARTITION), -1, NULL, {NULL}};
    return (PyObject *)self;
}

static int append_iterator(uintptr_t list, uintptr_t state, int64_t stop_offset, int has_records) {
    PyGILState_STATE lock = PyGILState_Ensure();
    int is_done = el_hand_over(list, new_iterator((PyObject *)state, stop_offset, has_records));
    PyGILState_Release(lock);
    return is_done;
}

int el_new_value_iterator(uintptr_t list, uintptr_t state, int64_t stop_offset) {
    return append_iterator(list, state, stop_offset, 0);
}

int el_new_record_iterator(uintptr_t list, uintptr_t state, int64_t stop_offset) {
    return append_iterator(list, state, stop_offset, 1);
}
