/* Blocks of Python code that hold a resource, which is released even if a signal handler raises an exception.
 *
 * The interpreter runs such a handler when a call has returned, or when a Python function begins. A context manager that is written in
 * Python can be interrupted after it has taken the lock and before it has recorded that, and before it begins to release the lock. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "types.h"

static _Thread_local int blocks; /* the number that this thread is inside, or about to enter */

typedef struct holding {
    PyObject_HEAD
    PyObject *take;
    PyObject *give_back; /* a tuple */
} holding;

EL_COLLECTED(holding, take, give_back)

static PyObject *new_holding(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    Py_ssize_t count = PyTuple_Size(arguments);
    if (count < 1 || keywords != NULL) {
        PyErr_SetString(PyExc_TypeError, "Holding(take, /, *give_back)");
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

/* Call all of them. A current exception stays set; an exception that they raise can only go to the interpreter's hook. */
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

/* METH_FASTCALL, so that the call itself needs no memory: the block has to end even if there is none left. */
static PyObject *leave(PyObject *object, PyObject *const *failure, Py_ssize_t count) {
    (void)failure;
    (void)count;
    give_back((holding *)object);
    return PyBool_FromLong(0);
}

static PyMethodDef methods[] = {
    {"__enter__", enter, METH_NOARGS, EL_ENTER_DOC},
    EL_FAST_METHOD("__exit__", leave, 0, EL_EXIT_DOC),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Holding(take, /, *give_back)\n--\n\n"
                "A block of code that holds what take() returned; the block gets it.\n\n"
                "Each give_back() is called however the block ends, and also when take() raises, so it has to know whether there is\n"
                "anything to give back. It has to be native code, such as a functools.partial of a function of the C library, because\n"
                "Python code could be interrupted before it does anything. It must not raise."},
    {Py_tp_new, new_holding},
    EL_COLLECTED_SLOTS(holding),
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.Holding",
    .basicsize = sizeof(holding),
    .flags = EL_COLLECTED_FLAGS,
    .slots = slots,
};

typedef struct trying {
    PyObject_HEAD
    PyObject *acquire;
    PyObject *release;
    PyObject *refuse;
} trying;

EL_COLLECTED(trying, acquire, refuse)

static PyObject *new_trying(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *acquire, *release, *refuse;
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "OOO:Trying", &acquire, &release, &refuse)) {
        PyErr_SetString(PyExc_TypeError, "Trying(acquire, release, refuse, /)");
        return NULL;
    }
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
    {"__enter__", try_to_enter, METH_NOARGS, EL_ENTER_DOC},
    EL_FAST_METHOD("__exit__", release, 0, EL_EXIT_DOC),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot trying_slots[] = {
    {Py_tp_doc, "Trying(acquire, release, refuse, /)\n--\n\n"
                "A block of code that holds a lock. acquire() returns whether it got the lock; if it did not, refuse() raises an\n"
                "error. release() is called when the block ends. `acquire` and `release` have to be native code."},
    {Py_tp_new, new_trying},
    EL_COLLECTED_SLOTS(trying),
    {Py_tp_methods, trying_methods},
    {0, NULL},
};

static PyType_Spec trying_specification = {
    .name = "eventlog._native.Trying",
    .basicsize = sizeof(trying),
    .flags = EL_COLLECTED_FLAGS,
    .slots = trying_slots,
};

static PyObject *held_blocks(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return PyLong_FromLong(blocks);
}

static PyMethodDef functions[] = {
    {"held_blocks", held_blocks, METH_NOARGS,
     "held_blocks($module, /)\n--\n\n"
     "The number of blocks of a Holding that the calling thread is in. Code outside those blocks that finds any is a signal\n"
     "handler or a finalizer that has interrupted one."},
    {NULL, NULL, 0, NULL},
};

int el_add_holding(PyObject *module) {
    return el_add_type(module, &specification) && el_add_type(module, &trying_specification) &&
           PyModule_AddFunctions(module, functions) == 0;
}
