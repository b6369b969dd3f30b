/* Shared by a producer's objects: its view of a partition, the choice of a partition, and receipts. */

#ifndef EVENTLOG_PYTHON_SENDING_H
#define EVENTLOG_PYTHON_SENDING_H

#include "calls.h"

/* A producer's view of one partition. */
typedef struct partition_sender {
    PyObject_HEAD
    PyObject *writer; /* of the partition; NULL before __init__ */
    PyObject *batch;  /* the records that wait */
    long long last_offset;
} partition_sender;

/* How a producer chooses a partition of one topic. Records without a key go to the same partition until it has received a number of bytes,
 * so that they fill a batch, and then to the next one. They also change after a few milliseconds, so that a slow producer does not send all
 * records to one partition. Each partition has one turn in a cycle, and each cycle has a new order. Sources: Kafka's KIP-480 and KIP-794. */
typedef struct partition_choice {
    PyObject_HEAD
    PyObject *senders;        /* a tuple of partition_sender objects */
    int32_t partition_count;
    int32_t current;          /* the partition that gets records without a key, -1 before the first one */
    long long left_bytes;     /* bytes that it still gets in this turn */
    long long stay_bytes;     /* bytes for each turn */
    long long overhead_bytes; /* added to the size of each record */
    long long least_bytes;    /* the least that a record counts, with the overhead */
    int64_t since_ms;         /* the start of this turn, by a coarse clock */
    uint64_t random;          /* not 0 */
    int32_t used;             /* the number of partitions in `order` that have had their turn in this cycle */
    int32_t *order;           /* all partitions */
} partition_choice;

/* The object as a partition_choice; NULL if it is not one. */
partition_choice *el_as_choice(PyObject *object);

/* The partition for a record; `given` is the caller's choice. -1 if Python has to choose, or to raise the error. */
int64_t el_choose(partition_choice *choice, PyObject *given, const el_new_record *record, int lingers);

/* Count a record that was sent to the partition for records without a key. */
void el_count_sticky(partition_choice *choice, PyObject *given, const el_new_record *record);

partition_sender *el_sender_of(const partition_choice *choice, int64_t partition);

#define EL_GATHERED_OVERHEAD_BYTES 16 /* of a waiting record, for its own fields; an estimate, good enough to bound a batch */

/* Is this a type of receipts for waiting records, or for appended ones? */
int el_is_batch_receipt_type(PyObject *type);
int el_is_appended_receipt_type(PyObject *type);

/* The receipt of an appended record. */
PyObject *el_make_appended_receipt(PyTypeObject *type, partition_sender *sender, int64_t offset, int64_t timestamp);

/* Let a record wait in its partition's batch, behind others. Returns its receipt; receipt_type is one for waiting records. NULL without an
 * exception set if Python has to handle the record: if it would be the first one, if the batch has no room, or if the batch is being
 * appended. */
PyObject *el_gather(PyTypeObject *receipt_type, partition_sender *sender, PyObject *const *parameters, const el_new_record *record);

#endif
