/* Several context managers as one, for a block of Python code.
 *
 * contextlib.ExitStack does so in Python, where a signal's handler may raise before anything is left. */

#ifndef EVENTLOG_PYTHON_NESTING_H
#define EVENTLOG_PYTHON_NESTING_H

#include <stdint.h>

/* Append to a list the type Nested(steps, make): as its block begins, each of the callables `steps` is asked for a context
 * manager, which is entered; make() of what the last one gave is the block's. As the block ends, or a later step raises, they are
 * left in reverse order, each told of the exception that there is by then. 0 on failure. */
int el_new_nested_type(uintptr_t list);

#endif
