/* A slot of a consumer group, to which a member commits. Nearly all commits find its mutex free, and run no Python code. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../store/acks.h"
#include "types.h"

typedef struct offset_slot {
    PyObject_HEAD
    el_ack *ack; /* NULL before __init__ */
} offset_slot;

static PyObject *check_name;

static int begin(PyObject *object, PyObject *arguments, PyObject *keywords) {
    unsigned long long address;
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "K:BaseOffsetSlot", &address))
        return -1;
    ((offset_slot *)object)->ack = (el_ack *)(uintptr_t)address;
    return 0;
}

/* 0 with an exception set if no status was obtained. */
static int has_committed(const offset_slot *self, PyObject *offset_object, int *status) {
    long long offset = PyLong_AsLongLong(offset_object);
    if (offset == -1 && PyErr_Occurred())
        return 0;
    if (self->ack == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "BaseOffsetSlot.__init__ was not called");
        return 0;
    }
    *status = el_ack_commit(self->ack, offset, 0);
    if (*status == EL_LOCK_TIMEOUT) {
        Py_BEGIN_ALLOW_THREADS
        *status = el_ack_commit(self->ack, offset, 1);
        Py_END_ALLOW_THREADS
    }
    return 1;
}

static PyObject *commit(PyObject *self, PyObject *offset) {
    int status;
    if (!has_committed((offset_slot *)self, offset, &status))
        return NULL;
    if (status == EL_DONE) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    PyObject *number = PyLong_FromLong(status);
    PyObject *answer = number == NULL ? NULL : PyObject_CallMethodObjArgs(self, check_name, number, NULL);
    Py_XDECREF(number);
    return answer;
}

static PyObject *try_commit(PyObject *self, PyObject *offset) {
    int status;
    return has_committed((offset_slot *)self, offset, &status) ? PyBool_FromLong(status == EL_DONE) : NULL;
}

static PyMethodDef methods[] = {
    {"commit", commit, METH_O,
     "commit($self, offset, /)\n--\n\n"
     "Acknowledge everything before `offset`; a smaller offset than the committed one changes nothing.\n\n"
     "Raises `StaleMemberError`, `LockTimeoutError`, `StoreClosedError`."},
    {"try_commit", try_commit, METH_O,
     "try_commit($self, offset, /)\n--\n\nAs `commit`; False where that would raise, and nothing was committed."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "BaseOffsetSlot(address, /)\n--\n\n"
                "What native code does with the slot that an `el_ack` at this address is about; `check(status)` raises what is wrong."},
    {Py_tp_init, begin},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.BaseOffsetSlot",
    .basicsize = sizeof(offset_slot),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int el_add_committing(PyObject *module) {
    check_name = PyUnicode_InternFromString("check");
    return check_name != NULL && el_add_type(module, &specification) != NULL;
}
