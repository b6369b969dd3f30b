/* Built-in functions for the calls that programs make again and again: they cost a third of the same call through cffi,
 * which converts each argument and gives the interpreter lock away and takes it again.
 *
 * Such a function keeps the lock as long as nothing has to be waited for. Whatever is out of the ordinary, an argument or an
 * answer, it leaves to a Python function. */

#ifndef EVENTLOG_PYTHON_FUNCTIONS_H
#define EVENTLOG_PYTHON_FUNCTIONS_H

#include <stdint.h>

/* Append to a list the function append(value, key=None, headers=None, timestamp=None) of one partition. `state` is a tuple:
 *
 *   the address of an el_appender
 *   the Python function for all that is not plain
 *   resolve(status): acts on a negative status of the appender, so that the call can be made again, or raises what it means
 *   whatever has to live as long
 *
 * 0 on failure. */
int el_new_append_function(uintptr_t list, uintptr_t state);

/* The same for append_many(values, ...). */
int el_new_append_many_function(uintptr_t list, uintptr_t state);

/* The same for wait(offset, timeout=None, *, durable=False). */
int el_new_wait_function(uintptr_t list, uintptr_t state);

/* Append to a list the function commit(offset) -> status of one slot; `state`: the address of an el_ack, and what has to live as
 * long. */
int el_new_commit_function(uintptr_t list, uintptr_t state);

#endif
