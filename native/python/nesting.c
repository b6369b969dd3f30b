/* Several context managers as one, for a block of Python code.
 *
 * contextlib.ExitStack does this in Python, where a signal handler may raise an exception before any manager was exited. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "types.h"

typedef struct nested {
    PyObject_HEAD
    PyObject *steps;   /* a tuple */
    PyObject *make;    /* None: use the last value itself */
    PyObject *entered; /* a list of the managers' __exit__ methods. Getting one needs memory, so it is done before __enter__ */
} nested;

EL_COLLECTED(nested, steps, entered)

static PyObject *new_nested(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *steps, *make;
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "O!O:Nested", &PyTuple_Type, &steps, &make)) {
        PyErr_SetString(PyExc_TypeError, "Nested(steps, make, /): `steps` is a tuple");
        return NULL;
    }
    nested *self = (nested *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(steps);
    Py_INCREF(make);
    self->steps = steps;
    self->make = make;
    self->entered = PyList_New(0);
    if (self->entered == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Take the last `__exit__` off the list; NULL without an exception if the list is empty. A new reference. */
static PyObject *last_entered(nested *self) {
    Py_ssize_t count = PyList_Size(self->entered);
    if (count <= 0)
        return NULL;
    PyObject *exit = PyList_GetItem(self->entered, count - 1);
    Py_XINCREF(exit);
    if (PyList_SetSlice(self->entered, count - 1, count, NULL) < 0)
        PyErr_Clear(); /* it stays on the list, and is called again */
    return exit;
}

/* Exit one manager with the exception that is set, or none. Afterwards the resulting exception is set, if any. */
static void leave_one(PyObject *exit) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (type != NULL) {
        PyErr_NormalizeException(&type, &value, &trace);
        if (trace != NULL)
            PyException_SetTraceback(value, trace);
    }
    PyObject *answer = PyObject_CallFunctionObjArgs(exit, type ? type : Py_None, value ? value : Py_None,
                                                    trace ? trace : Py_None, NULL);
    int is_suppressed = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    if (is_suppressed == 0) {
        PyErr_Restore(type, value, trace);
        return;
    }
    if (is_suppressed < 0 && value != NULL) {
        PyObject *new_type, *new_value, *new_trace;
        PyErr_Fetch(&new_type, &new_value, &new_trace);
        PyErr_NormalizeException(&new_type, &new_value, &new_trace);
        if (new_value != value) {
            Py_INCREF(value);
            PyException_SetContext(new_value, value);
        }
        PyErr_Restore(new_type, new_value, new_trace);
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

static void leave_all(nested *self) {
    PyObject *exit;
    while ((exit = last_entered(self)) != NULL) {
        leave_one(exit);
        Py_DECREF(exit);
    }
}

/* Enter the manager that a step returns, and return its value. Once it is entered, its `__exit__` is on the list. */
static PyObject *enter_one(nested *self, PyObject *step) {
    PyObject *manager = PyObject_CallObject(step, NULL);
    PyObject *exit = manager != NULL ? PyObject_GetAttrString(manager, "__exit__") : NULL;
    Py_ssize_t count = PyList_Size(self->entered);
    PyObject *value = NULL;
    if (exit != NULL && PyList_Append(self->entered, exit) == 0) { /* first, because this may run out of memory */
        value = PyObject_CallMethod(manager, "__enter__", NULL);
        if (value == NULL)
            PyList_SetSlice(self->entered, count, count + 1, NULL);
    }
    Py_XDECREF(exit);
    Py_XDECREF(manager);
    return value;
}

static PyObject *enter(PyObject *object, PyObject *unused) {
    (void)unused;
    nested *self = (nested *)object;
    PyObject *value = NULL;
    Py_ssize_t count = PyTuple_Size(self->steps);
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_XDECREF(value);
        value = enter_one(self, PyTuple_GetItem(self->steps, i));
        if (value == NULL)
            break;
    }
    if (value != NULL && self->make != Py_None) {
        PyObject *made = PyObject_CallFunctionObjArgs(self->make, value, NULL);
        Py_DECREF(value);
        value = made;
    }
    if (value == NULL) {
        leave_all(self);
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "a context manager has suppressed why a block could not begin");
    }
    return value;
}

/* METH_FASTCALL, so that the call itself needs no memory: the block has to end even if there is none left. */
static PyObject *leave(PyObject *object, PyObject *const *failure, Py_ssize_t count) {
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "__exit__(type, value, trace)");
        return NULL;
    }
    PyObject *type = failure[0], *value = failure[1], *trace = failure[2];
    if (type != Py_None) {
        Py_INCREF(type);
        Py_INCREF(value);
        Py_INCREF(trace);
        PyErr_Restore(type, value, trace == Py_None ? NULL : trace);
    }
    leave_all((nested *)object);
    PyObject *now_type, *now_value, *now_trace;
    PyErr_Fetch(&now_type, &now_value, &now_trace);
    int is_suppressed = type != Py_None && now_type == NULL;
    if (now_type != NULL && now_value != value) {
        PyErr_Restore(now_type, now_value, now_trace);
        return NULL;
    }
    Py_XDECREF(now_type);
    Py_XDECREF(now_value);
    Py_XDECREF(now_trace);
    return PyBool_FromLong(is_suppressed);
}

static PyMethodDef methods[] = {
    {"__enter__", enter, METH_NOARGS, EL_ENTER_DOC},
    EL_FAST_METHOD("__exit__", leave, 0, EL_EXIT_DOC),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Nested(steps, make, /)\n--\n\n"
                "Several context managers as one.\n\n"
                "When the block begins, each callable in `steps` is called for a context manager, which is entered. The block gets\n"
                "make(value), where `value` is what the last one returned, or `value` itself if `make` is None. When the block ends,\n"
                "or a later step raises, they are exited in reverse order, each with the exception that is current by then.\n\n"
                "Only native context managers are safe from interrupts. One that is written in Python has to come before them; an\n"
                "interrupt may leave it half entered."},
    {Py_tp_new, new_nested},
    EL_COLLECTED_SLOTS(nested),
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.Nested",
    .basicsize = sizeof(nested),
    .flags = EL_COLLECTED_FLAGS,
    .slots = slots,
};

int el_add_nesting(PyObject *module) {
    return el_add_type(module, &specification) != NULL;
}
