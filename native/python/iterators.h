/* Iterators over a partition's records: each step decodes one, so that its objects are gone again before the next ones are made,
 * and find their memory in the nearest cache.
 *
 * A step costs no Python code as long as checked batches stand in the reader. */

#ifndef EVENTLOG_PYTHON_ITERATORS_H
#define EVENTLOG_PYTHON_ITERATORS_H

#include <stdint.h>

/* Append to a list an iterator over the values, or over the records, below stop_offset. `state` is a tuple that lives as long:
 *
 *   the address of an el_reader
 *   load(status) -> bool: make checked batches stand in the reader; False at the end. It raises what a negative status of
 *       el_take_records says.
 *   the record type, make, topic and partition, as for el_take_records
 *   whatever has to live as long
 *
 * 0 on failure. */
int el_new_value_iterator(uintptr_t list, uintptr_t state, int64_t stop_offset);
int el_new_record_iterator(uintptr_t list, uintptr_t state, int64_t stop_offset);

#endif
