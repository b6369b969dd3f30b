/* The module `eventlog._native`: cffi's `ffi` and `lib` for the C code that knows nothing of Python, and the types that do. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "types.h"

/* What cffi has generated; native/build.py gives it this name. */
PyMODINIT_FUNC el_init_cffi(void);

static int (*const additions[])(PyObject *) = {
    el_add_holding, el_add_nesting,   el_add_packing, el_add_writing,   el_add_reading, el_add_iterators,
    el_add_partition, el_add_choosing, el_add_receipts, el_add_gathering, el_add_sending, el_add_committing,
};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *module = el_init_cffi();
    for (size_t i = 0; module != NULL && i < sizeof additions / sizeof *additions; i++)
        if (!additions[i](module))
            Py_CLEAR(module);
    return module;
}
