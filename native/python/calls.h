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

/* As el_sort_arguments, for value, key, headers and timestamp. */
int el_sort_record(PyObject *const *arguments, Py_ssize_t count, PyObject *keywords, PyObject **parameters);

/* 0 if the parameters are for Python to look at. What the record refers to belongs to them and to `headers`. */
int el_read_record(PyObject *const *parameters, encoded_headers *headers, el_new_record *record);

/* What appends to one partition. `log` is its PartitionLog, of which resolve(status) acts on a negative status of the appender, so that the
 * call can be made again, or raises what it means. */
typedef struct writer {
    PyObject_HEAD
    PyObject *log;
    PyObject *owner; /* of the appender's memory */
    el_appender *appender;
} writer;

/* The writer that this object is, or NULL. */
writer *el_as_writer(PyObject *object);

/* Append a record. The offset; or a negative number, with an exception set unless the record is for Python to look at. The interpreter lock
 * is given away where something has to be waited for. */
int64_t el_append_with(writer *self, el_new_record *record);

/* The same where nothing has to be waited for, neither somebody else nor the disk, and Python need not be asked; else a negative number
 * without an exception, and nothing was appended. */
int64_t el_append_at_once(writer *self, el_new_record *record);

/* As el_append_with, for lists of records, which NULL may stand for, but without waiting for the disk. Returns the first offset; *count is how many
 * they are. */
int64_t el_append_lists(writer *self, PyObject *const *lists, int64_t *count, el_placed *placed);

/* Wait for the disk, where each append does; 0 with an exception set on failure. */
int el_is_flushed(writer *self, int64_t end_offset);

/* What decodes the records of one partition. */
typedef struct reader {
    PyObject_HEAD
    PyObject *record_type; /* a subclass of tuple with seven fields */
    PyObject *make;        /* tuple.__new__, or None where an instance may be filled in place */
    PyObject *topic;
    PyObject *partition;
    PyObject *owner; /* of the native reader's memory */
    el_reader *native;
} reader;

/* The reader that this object is, or NULL. */
reader *el_as_reader(PyObject *object);

/* Append up to max_records checked records below stop_offset to a list. Returns how many, or an el_taken_status. */
int64_t el_take_records(reader *self, PyObject *list, int64_t max_records, int64_t stop_offset);

/* What records are made by. What it borrows is the reader's. */
record_maker el_maker_of(const reader *self);

#endif
