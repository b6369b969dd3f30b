/* What the built-in functions share: their arguments, and appending a record that was read from them. */

#ifndef EVENTLOG_PYTHON_CALLS_H
#define EVENTLOG_PYTHON_CALLS_H

#include "../store/appender.h"
#include "making.h"

/* Sort arguments into `parameter_count` parameters, of which the first is needed. 0 if they do not fit; the Python function then says
 * why. */
int el_sort_arguments(const char *const *names, int parameter_count, PyObject *const *arguments, Py_ssize_t count,
                      PyObject *keywords, PyObject **parameters);

/* The same call of a Python function. */
PyObject *el_call_python(PyObject *function, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);

/* The same call of a method that has this name. */
PyObject *el_call_method(PyObject *object, PyObject *name, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);

/* An exact int from 0 to 2^63 - 1; 0 for anything else. */
int el_read_number(PyObject *object, int64_t *number);

/* A record's own parameters, NULL where one was not given. */
enum { EL_VALUE, EL_KEY, EL_HEADERS, EL_TIMESTAMP, EL_RECORD_PARAMETERS };

/* 0 if the parameters are for Python to look at. What the record refers to belongs to them and to `headers`. */
int el_read_record(PyObject *const *parameters, encoded_headers *headers, el_new_record *record);

/* The state of an append function, borrowed; NULL for anything else, NULL itself included. */
PyObject *el_append_state(PyObject *function);

/* Append as the append function does that has this state. The offset; or a negative number, with an exception set unless the record is
 * for Python to look at. The interpreter lock is given away where something has to be waited for. */
int64_t el_append_with(PyObject *state, el_new_record *record);

/* The same where nothing has to be waited for, neither somebody else nor the disk, and Python need not be asked; else a negative number
 * without an exception, and nothing was appended. */
int64_t el_append_at_once(PyObject *state, el_new_record *record);

/* As el_append_with, for lists of records, which NULL may stand for, but without waiting for the disk. Returns the first offset; *count is how many
 * they are. */
int64_t el_append_lists(PyObject *state, PyObject *const *lists, int64_t *count, el_placed *placed);

/* Put a new built-in function with this state into a list; 0 on failure. */
int el_append_function(uintptr_t list, PyMethodDef *definition, uintptr_t state);

#endif
