/* Shared by the types of the module `eventlog._native`. */

#ifndef EVENTLOG_PYTHON_TYPES_H
#define EVENTLOG_PYTHON_TYPES_H

/* Include Python.h before this file. */

/* Define traverse_TYPE, clear_TYPE and deallocate_TYPE for instances that the garbage collector tracks. `type` is their structure. Their
 * references are its members from `first` to `last`, which are adjacent and may be NULL. */
#define EL_COLLECTED(type, first, last)                                                                  \
    static int traverse_##type(PyObject *object, visitproc visit, void *arg) {                           \
        return el_traverse(object, &((type *)object)->first, &((type *)object)->last, visit, arg);       \
    }                                                                                                    \
    static int clear_##type(PyObject *object) {                                                          \
        return el_clear(&((type *)object)->first, &((type *)object)->last);                              \
    }                                                                                                    \
    static void deallocate_##type(PyObject *object) {                                                    \
        PyObject_GC_UnTrack(object);                                                                     \
        clear_##type(object);                                                                            \
        el_free_object(object);                                                                          \
    }

/* Their slots. */
#define EL_COLLECTED_SLOTS(type) {Py_tp_traverse, traverse_##type}, {Py_tp_clear, clear_##type}, {Py_tp_dealloc, deallocate_##type}

#define EL_COLLECTED_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC)

int el_traverse(PyObject *object, PyObject **first, PyObject **last, visitproc visit, void *arg);
int el_clear(PyObject **first, PyObject **last);

/* The last step of deallocating an instance of one of our types, or of a subclass, which is freed in another way. */
void el_free_object(PyObject *object);

/* A method that takes its arguments as an array. */
#define EL_FAST_METHOD(name, function, flags, doc) {name, (PyCFunction)(void (*)(void))(function), METH_FASTCALL | (flags), doc}

#define EL_ENTER_DOC "__enter__($self, /)\n--\n\nBegin the block."
#define EL_EXIT_DOC "__exit__($self, kind, error, trace, /)\n--\n\nEnd the block."

/* Make a type, and add it to the module. Returns a borrowed reference; NULL with an exception set on failure. */
PyTypeObject *el_add_type(PyObject *module, PyType_Spec *specification);

/* Each adds the contents of one file to the module; 0 with an exception set on failure. */
int el_add_holding(PyObject *module);
int el_add_nesting(PyObject *module);
int el_add_choosing(PyObject *module);
int el_add_receipts(PyObject *module);
int el_add_gathering(PyObject *module);
int el_add_sending(PyObject *module);
int el_add_committing(PyObject *module);
int el_add_packing(PyObject *module);
int el_add_writing(PyObject *module);
int el_add_reading(PyObject *module);
int el_add_iterators(PyObject *module);
int el_add_partition(PyObject *module);
int el_add_arrow(PyObject *module);

#endif
