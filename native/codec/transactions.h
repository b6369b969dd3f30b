/* Transactions in a log that a broker has written: which batches belong to an aborted one.
 *
 * Source: Kafka's transaction markers, KIP-98 (https://cwiki.apache.org/confluence/display/KAFKA/KIP-98). The batches of a
 * transaction carry their producer's id; a control batch of the same id ends it, and its record's key, i16 version and i16 type,
 * says whether it was committed. A producer has one transaction at a time. */

#ifndef EVENTLOG_CODEC_TRANSACTIONS_H
#define EVENTLOG_CODEC_TRANSACTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"

enum {
    EL_TRANSACTION_ABORT = 0, /* as in the marker's key */
    EL_TRANSACTION_COMMIT = 1,
    EL_TRANSACTION_DATA = 2,
};

/* A batch of a transaction: its producer, its base offset, and what it is. */
typedef struct el_transaction_step {
    int64_t producer_id;
    int64_t offset;
    int64_t kind;
} el_transaction_step;

/* What a whole batch is, EL_TRANSACTION_ABORT, _COMMIT or _DATA; -1 if it does not belong to a transaction. */
int el_transaction_step_kind(const el_batch *batch, const uint8_t *data);

/* List those batches at `data` that belong to transactions. Ends at `length`, after `capacity` steps, or at bytes that are not a whole
 * batch, as the el_codec_status says. *consumed is how many bytes of whole batches were examined. */
int el_transaction_steps(const uint8_t *data, size_t length, el_transaction_step *steps, size_t capacity, size_t *count,
                         size_t *consumed);

/* A transaction that was aborted: from its first batch up to its marker. */
typedef struct el_aborted {
    int64_t producer_id;
    int64_t first_offset;
    int64_t marker_offset;
} el_aborted;

/* Sorted by producer and marker. */
typedef struct el_aborted_list {
    const el_aborted *entries;
    size_t count;
} el_aborted_list;

/* Is it a batch of records that belongs to one of them? */
int el_is_aborted(const el_aborted_list *list, const el_batch *batch);

#endif
