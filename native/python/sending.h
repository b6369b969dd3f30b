/* What a producer's objects share: a partition as a producer has it, how a partition is chosen, and receipts. */

#ifndef EVENTLOG_PYTHON_SENDING_H
#define EVENTLOG_PYTHON_SENDING_H

#include "calls.h"

/* A producer's way into one partition. */
typedef struct partition_sender {
    PyObject_HEAD
    PyObject *writer; /* of the partition; NULL before __init__ */
    PyObject *batch;  /* the records that wait */
    long long last_offset;
} partition_sender;

/* How a producer chooses a partition of one topic. Records without a key go to one partition until it has got some bytes, so that what
 * belongs into a batch comes together, and to another one after that, or after a few milliseconds, so that those of a slow producer do not
 * all go to one. Each partition has its turn once in a cycle, in an order that is another one in each. Sources: Kafka's KIP-480 and KIP-794. */
typedef struct partition_choice {
    PyObject_HEAD
    PyObject *senders;        /* a tuple of partition_sender objects */
    int32_t partition_count;
    int32_t current;          /* the partition that gets records without a key, -1 before the first one, */
    long long left_bytes;     /* until so many bytes more were sent to it, */
    long long stay_bytes;     /* of these at first */
    long long overhead_bytes; /* what each record counts besides its own, */
    long long least_bytes;    /* and at least */
    int64_t since_ms;         /* by a coarse clock */
    uint64_t random;          /* not 0 */
    int32_t used;             /* so many of the order have had their turn in this cycle */
    int32_t *order;           /* all partitions */
} partition_choice;

/* The topic that this object stands for, or NULL. */
partition_choice *el_as_choice(PyObject *object);

/* The partition for a record, of which `given` is the caller's choice; -1 if Python has to choose, or to say what is wrong. */
int64_t el_choose(partition_choice *choice, PyObject *given, const el_new_record *record, int lingers);

/* Count a record that was sent to the partition for records without a key. */
void el_count_sticky(partition_choice *choice, PyObject *given, const el_new_record *record);

partition_sender *el_sender_of(const partition_choice *choice, int64_t partition);

#define EL_GATHERED_OVERHEAD_BYTES 16 /* of a record that waits, for its own fields, roughly: a batch is bounded by it, not measured */

/* Is this a type of receipts for records that wait, or for appended ones? */
int el_is_waiting_type(PyObject *type);
int el_is_place_type(PyObject *type);

/* The receipt of an appended record. */
PyObject *el_make_place(PyTypeObject *type, partition_sender *sender, int64_t offset, int64_t timestamp);

/* Let a record wait in its partition's batch, behind others. The receipt, of a type of receipts for records that wait. NULL without an
 * exception set if the record is for Python to look at: where it would be the first, where there is no room, where the batch is just
 * being appended. */
PyObject *el_gather(PyTypeObject *receipt_type, partition_sender *sender, PyObject *const *parameters, const el_new_record *record);

#endif
