/* Built-in functions for the calls that programs make again and again: they cost a third of the same call through cffi,
 * which converts each argument and gives the interpreter lock away and takes it again.
 *
 * Such a function keeps the lock as long as nothing has to be waited for. Whatever is out of the ordinary, an argument or an
 * answer, it leaves to a Python function. */

#ifndef EVENTLOG_PYTHON_FUNCTIONS_H
#define EVENTLOG_PYTHON_FUNCTIONS_H

#include <stdint.h>

#include "../store/signals.h"

/* Append to a list the function append(value, key=None, headers=None, timestamp=None) of one partition. `state` is a tuple:
 *
 *   the address of an el_appender
 *   the Python function for all that is not plain
 *   resolve(status): acts on a negative status of the appender, so that the call can be made again, or raises what it means
 *   whatever has to live as long
 *
 * 0 on failure. */
int el_new_append_function(uintptr_t list, uintptr_t state);

/* The same for append_at_once(value, key, headers, timestamp), which returns None, with nothing done, where append would wait for anybody or
 * for the disk, or ask Python. */
int el_new_append_at_once_function(uintptr_t list, uintptr_t state);

/* The same for append_many(values, ...). */
int el_new_append_many_function(uintptr_t list, uintptr_t state);

/* The same for wait(offset, timeout=None, *, durable=False). */
int el_new_wait_function(uintptr_t list, uintptr_t state);

#define EL_READ_RECORDS 500 /* where a caller does not say how many */

/* Append to a list the function read(offset, max_records=EL_READ_RECORDS, *, durable=False) of one partition. `state` is a tuple:
 *
 *   the address of an el_appender
 *   the Python function for all that is not plain
 *   a list of readers that nobody uses; one that has the right segment open is taken from it, and put back at its end
 *   the name "address": the attribute of a reader that is the address of its el_reader
 *   the record type, make, topic and partition, as for el_take_records
 *   whatever has to live as long
 *
 * 0 on failure. */
int el_new_read_function(uintptr_t list, uintptr_t state);

#endif
