/* Records that wait to be appended together, kept as the objects that they are made of. */

#ifndef EVENTLOG_PYTHON_GATHERING_H
#define EVENTLOG_PYTHON_GATHERING_H

#include "calls.h"

/* Let a record wait in a lane's batch, behind others. The receipt, of a subclass of the second of el_new_gathering_types. NULL without an
 * exception set if the record is for Python to look at: where it would be the first, where there is no room, where the batch is just
 * being appended. */
PyObject *el_gather(PyTypeObject *receipt_type, PyObject *lane, PyObject *batch, PyObject *const *parameters,
                    const el_new_record *record);

#endif
