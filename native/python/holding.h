/* A block of Python code that holds something, which is given back whatever a signal's handler raises.
 *
 * The interpreter runs such a handler as soon as a call has returned, or as a Python function begins. A context manager that is
 * written in Python can be interrupted between having the lock and saying so, and before it begins to give it back. */

#ifndef EVENTLOG_PYTHON_HOLDING_H
#define EVENTLOG_PYTHON_HOLDING_H

#include <stdint.h>

/* Append to a list two types of context managers. 0 on failure.
 *
 *   Holding(take, give_back, ...): calls take() as its block begins, and hands its answer over; and each give_back() as the block ends, also
 *   where take() has raised
 *   Trying(acquire, release, refuse): calls acquire() as its block begins, and where that is false refuse(), which raises; else release() as
 *   the block ends */
int el_new_holding_types(uintptr_t list);

/* How many such blocks the calling thread is inside. What finds that it is inside one, and is no part of it, is a signal's handler or a
 * finalizer that has come in between. */
int el_held_blocks(void);

#endif
