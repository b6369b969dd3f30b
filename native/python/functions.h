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

/* What a producer's send function goes by, besides the topics. */
typedef struct el_sender {
    const el_signals *signals;
    int64_t catalog_version; /* the topics are as they were then */
    int has_notifier;        /* somebody wants to know what was sent */
    int lingers;             /* records wait in batches */
} el_sender;

/* How a producer chooses a partition of one topic. Records without a key go to one partition until it has got some bytes, so that what
 * belongs into a batch comes together, and to another one after that, or after a few milliseconds, so that those of a slow producer do not
 * all go to one. Each partition has its turn once in a cycle, in an order that is another one in each. Sources: Kafka's KIP-480 and KIP-794. */
typedef struct el_choice {
    int32_t partition_count;
    int32_t current;    /* the partition that gets records without a key, -1 before the first one, */
    int64_t left_bytes; /* until so many bytes more were sent to it, */
    int64_t stay_bytes; /* of these at first */
    int64_t overhead_bytes; /* what each record counts besides its own, */
    int64_t least_bytes;    /* and at least */
    int64_t since_ms;   /* by a coarse clock */
    uint64_t random;    /* not 0 */
    int32_t used;       /* so many of the order have had their turn in this cycle */
    int32_t *order;     /* all partitions */
} el_choice;

/* Go to the next partition. */
void el_choice_advance(el_choice *choice);

/* Append to a list the function send(topic, value, key=None, headers=None, partition=None, timestamp=None). `state` is a tuple:
 *
 *   the address of an el_sender
 *   the Python function for all that is not plain
 *   a dict of the topics; each is a tuple: the address of an el_choice, its lanes and their append functions
 *   the type of receipts, a subclass of el_new_place_type's, or where records wait, of the second of el_new_gathering_types
 *   note(lane, offset): what is to be done about an appended record where somebody wants to know of it
 *   the name "last_offset": the attribute of a lane that is set where nobody wants to know
 *   the name "_batch": the attribute of a lane that has the records that wait
 *   whatever has to live as long
 *
 * 0 on failure. */
int el_new_send_function(uintptr_t list, uintptr_t state);

/* The same for send_at_once(topic, value, key, headers, partition, timestamp), which returns None where send would wait, or ask Python. */
int el_new_send_at_once_function(uintptr_t list, uintptr_t state);

/* Append to a list a type whose instances hold a record's place, and which has no constructor: _lane, _offset, _timestamp. 0 on
 * failure. */
int el_new_place_type(uintptr_t list);

#define EL_GATHERED_OVERHEAD_BYTES 16 /* of a record that waits, for its own fields, roughly: a batch is bounded by it, not measured */

/* Append to a list two types: of batches of records that wait, and of receipts for them. 0 on failure. */
int el_new_gathering_types(uintptr_t list);

/* Append to a list the function commit(offset) -> status of one slot; `state`: the address of an el_ack, and what has to live as
 * long. */
int el_new_commit_function(uintptr_t list, uintptr_t state);

#endif
