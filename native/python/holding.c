#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "holding.h"
#include "making.h"

static _Thread_local int blocks; /* that this thread is inside, or about to enter */

int el_held_blocks(void) {
    return blocks;
}

typedef struct holding {
    PyObject_HEAD
    PyObject *take;
    PyObject *give_back; /* a tuple */
} holding;

static PyObject *new_holding(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    (void)keywords;
    Py_ssize_t count = PyTuple_Size(arguments);
    if (count < 2) {
        PyErr_SetString(PyExc_TypeError, "Holding(take, give_back, ...)");
        return NULL;
    }
    holding *self = (holding *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->take = PyTuple_GetItem(arguments, 0);
    Py_INCREF(self->take);
    self->give_back = PyTuple_GetSlice(arguments, 1, count);
    if (self->give_back == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void deallocate(PyObject *object) {
    holding *self = (holding *)object;
    Py_XDECREF(self->take);
    Py_XDECREF(self->give_back);
    el_free_object(object);
}

/* Call all of them. What is being raised goes on; what they raise nobody can be told but the interpreter's hook. */
static void give_back(holding *self) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    for (Py_ssize_t i = 0; i < PyTuple_Size(self->give_back); i++) {
        PyObject *function = PyTuple_GetItem(self->give_back, i);
        PyObject *answer = PyObject_CallObject(function, NULL);
        if (answer == NULL)
            PyErr_WriteUnraisable(function);
        Py_XDECREF(answer);
    }
    blocks--;
    PyErr_Restore(type, value, trace);
}

static PyObject *enter(PyObject *object, PyObject *unused) {
    (void)unused;
    holding *self = (holding *)object;
    blocks++;
    PyObject *taken = PyObject_CallObject(self->take, NULL);
    if (taken == NULL)
        give_back(self);
    return taken;
}

/* By METH_FASTCALL, so that the call itself needs no memory: where there is none, the block has to end all the same. */
static PyObject *leave(PyObject *object, PyObject *const *failure, Py_ssize_t count) {
    (void)failure;
    (void)count;
    give_back((holding *)object);
    return PyBool_FromLong(0);
}

static PyMethodDef methods[] = {
    {"__enter__", enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))leave, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Holds something for the length of a block."},
    {Py_tp_new, new_holding},
    {Py_tp_dealloc, deallocate},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog.Holding",
    .basicsize = sizeof(holding),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

typedef struct trying {
    PyObject_HEAD
    PyObject *acquire;
    PyObject *release;
    PyObject *refuse;
} trying;

static PyObject *new_trying(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    (void)keywords;
    PyObject *acquire, *release, *refuse;
    if (!PyArg_ParseTuple(arguments, "OOO", &acquire, &release, &refuse))
        return NULL;
    trying *self = (trying *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(acquire);
    Py_INCREF(release);
    Py_INCREF(refuse);
    self->acquire = acquire;
    self->release = release;
    self->refuse = refuse;
    return (PyObject *)self;
}

static void deallocate_trying(PyObject *object) {
    trying *self = (trying *)object;
    Py_XDECREF(self->acquire);
    Py_XDECREF(self->release);
    Py_XDECREF(self->refuse);
    el_free_object(object);
}

static PyObject *try_to_enter(PyObject *object, PyObject *unused) {
    (void)unused;
    trying *self = (trying *)object;
    PyObject *answer = PyObject_CallObject(self->acquire, NULL);
    if (answer == NULL)
        return NULL;
    int is_acquired = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    if (is_acquired > 0) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    answer = is_acquired == 0 ? PyObject_CallObject(self->refuse, NULL) : NULL;
    if (answer != NULL)
        PyErr_SetString(PyExc_RuntimeError, "a lock that cannot be had was not refused");
    Py_XDECREF(answer);
    return NULL;
}

static PyObject *release(PyObject *object, PyObject *const *failure, Py_ssize_t count) {
    (void)failure;
    (void)count;
    PyObject *answer = PyObject_CallObject(((trying *)object)->release, NULL);
    if (answer == NULL)
        return NULL;
    Py_DECREF(answer);
    return PyBool_FromLong(0);
}

static PyMethodDef trying_methods[] = {
    {"__enter__", try_to_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))release, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot trying_slots[] = {
    {Py_tp_doc, "Has a lock for the length of a block, or refuses it."},
    {Py_tp_new, new_trying},
    {Py_tp_dealloc, deallocate_trying},
    {Py_tp_methods, trying_methods},
    {0, NULL},
};

static PyType_Spec trying_specification = {
    .name = "eventlog.Trying",
    .basicsize = sizeof(trying),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = trying_slots,
};

int el_new_holding_types(uintptr_t list) {
    PyGILState_STATE lock = PyGILState_Ensure();
    int is_done =
        el_hand_over(list, PyType_FromSpec(&specification)) && el_hand_over(list, PyType_FromSpec(&trying_specification));
    PyGILState_Release(lock);
    return is_done;
}
