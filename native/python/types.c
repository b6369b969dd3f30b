#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "types.h"

int el_traverse(PyObject *object, PyObject **first, PyObject **last, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    for (PyObject **member = first; member <= last; member++)
        Py_VISIT(*member);
    return 0;
}

int el_clear(PyObject **first, PyObject **last) {
    for (PyObject **member = first; member <= last; member++)
        Py_CLEAR(*member);
    return 0;
}

void el_free_object(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

PyTypeObject *el_add_type(PyObject *module, PyType_Spec *specification) {
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, specification, NULL);
    int is_added = type != NULL && PyModule_AddType(module, type) == 0;
    Py_XDECREF(type); /* the module holds a reference */
    return is_added ? type : NULL;
}
