/* Shared by the built-in functions: parsing arguments, and appending a record that was read from them. */

#ifndef EVENTLOG_PYTHON_CALLS_H
#define EVENTLOG_PYTHON_CALLS_H

#include "../store/appender.h"
#include "making.h"

/* Sort arguments into `parameter_count` parameters, of which the first is required. 0 if they do not fit; then the Python function raises
 * the error. */
int el_sort_arguments(const char *const *names, int parameter_count, PyObject *const *arguments, Py_ssize_t count,
                      PyObject *keywords, PyObject **parameters);

/* Call a Python function with these arguments. */
PyObject *el_call_python(PyObject *function, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);

/* Call the method of this name with these arguments. */
PyObject *el_call_method(PyObject *object, PyObject *name, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);

/* Read an exact int from 0 to 2^63 - 1; returns 0 for anything else. */
int el_read_number(PyObject *object, int64_t *number);

/* A record's own parameters; NULL if one was not given. */
enum { EL_VALUE, EL_KEY, EL_HEADERS, EL_TIMESTAMP, EL_RECORD_PARAMETERS };

/* As el_sort_arguments, for value, key, headers and timestamp. */
int el_sort_record(PyObject *const *arguments, Py_ssize_t count, PyObject *keywords, PyObject **parameters);

/* 0 if Python has to handle the parameters. The record borrows its data from them and from `headers`. */
int el_read_record(PyObject *const *parameters, encoded_headers *headers, el_new_record *record);

/* Appends to one partition. `log` is its PartitionLog. log.resolve(status) handles a negative status of the appender so that the call can be
 * retried, or raises the error. */
typedef struct writer {
    PyObject_HEAD
    PyObject *log;
    PyObject *owner; /* of the appender's memory */
    el_appender *appender;
} writer;

/* The object as a writer; NULL if it is not one. */
writer *el_as_writer(PyObject *object);

/* Append a record. Returns the offset; or a negative number, with an exception set unless Python has to handle the record. Releases the
 * interpreter lock while it waits. */
int64_t el_append_with(writer *self, el_new_record *record);

/* Append a record only if that needs no waiting, neither for another thread or process nor for the disk, and no step in Python; otherwise
 * append nothing, and return a negative number without an exception. */
int64_t el_append_at_once(writer *self, el_new_record *record);

/* As el_append_with for lists of records, but without waiting for the disk; a list that is not given is NULL. Returns the first offset;
 * *count is the number of records. */
int64_t el_append_lists(writer *self, PyObject *const *lists, int64_t *count, el_placed *placed);

/* Wait for the disk if each append has to be flushed; 0 with an exception set on failure. */
int el_is_flushed(writer *self, int64_t end_offset);

/* Decodes the records of one partition. */
typedef struct reader {
    PyObject_HEAD
    PyObject *record_type; /* a subclass of tuple with seven fields */
    PyObject *make;        /* tuple.__new__, or None if an instance may be filled in place */
    PyObject *topic;
    PyObject *partition;
    PyObject *owner; /* of the native reader's memory */
    el_reader *native;
} reader;

/* The object as a reader; NULL if it is not one. */
reader *el_as_reader(PyObject *object);

/* Append up to max_records checked records below stop_offset to a list. Returns their number, or an el_taken_status. */
int64_t el_take_records(reader *self, PyObject *list, int64_t max_records, int64_t stop_offset);

/* The maker for a reader's records. It borrows its references from the reader. */
record_maker el_maker_of(const reader *self);

#endif
