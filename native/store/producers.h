/* The producers of a partition: which batches each one has appended last, and its open transaction.
 *
 * The table is a mapped file that only a thread with the append mutex uses, or private memory in which it is built from the log.
 *
 *   byte    0  header           is it ready, how many slots, the offset before which all batches are in it
 *          64  next             the entry that an append is about to change
 *         256  slots            open addressing by the producer's id, at most three quarters in use
 *
 * An append writes `next` before it publishes the batch, and copies it to its slot afterwards. A thread that finds `next` complete can
 * tell from the tail in the head whether the batch was published. So the table has exactly the batches that readers see, whoever dies.
 *
 * Source of the rules: Kafka's ProducerStateManager, ProducerAppendInfo and ProducerStateEntry. */

#ifndef EVENTLOG_STORE_PRODUCERS_H
#define EVENTLOG_STORE_PRODUCERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../codec/batch.h"
#include "status.h"

#define EL_PRODUCERS_MAGIC UINT64_C(0x3153444f5250564c) /* "LVPRODS1" in memory order */
#define EL_PRODUCER_BATCHES 5 /* as many as a client may have in flight */
#define EL_PRODUCERS_CAPACITY_MIN 64
#define EL_PRODUCERS_CAPACITY_MAX 65536

/* A batch that was appended; its first sequence number and offset are `offset_delta` before its last. */
typedef struct el_producer_batch {
    int64_t last_offset;
    int64_t timestamp; /* its largest */
    int32_t last_sequence;
    int32_t offset_delta;
} el_producer_batch;

typedef struct el_producer {
    int64_t id;                /* -1: the slot is free */
    int64_t transaction_start; /* the first offset of its open transaction, -1: none */
    int64_t last_ms;           /* when it appended last */
    int32_t coordinator_epoch; /* of its last marker, -1: none */
    int16_t epoch;
    uint16_t batch_count;
    el_producer_batch batches[EL_PRODUCER_BATCHES]; /* the oldest first */
} el_producer;

typedef struct el_producers {
    uint64_t magic;
    _Atomic uint32_t is_ready;
    uint32_t capacity; /* a power of two */
    uint32_t count;
    uint32_t open_transactions;
    int64_t end_offset; /* all batches before it are in the table */
    int64_t next_end_offset;
    _Atomic uint32_t next_is_complete;
    uint32_t next_slot;
    uint32_t next_count;
    uint32_t next_open_transactions;
    uint8_t pad_header[8];
    el_producer next;
    uint8_t pad_next[40];
    el_producer slots[];
} el_producers;

_Static_assert(sizeof(el_producer_batch) == 24, "a batch");
_Static_assert(sizeof(el_producer) == 152, "a producer");
_Static_assert(offsetof(el_producers, next) == 64, "next");
_Static_assert(offsetof(el_producers, slots) == 256, "slots");

/* What to tell about a batch that is not the next one. */
typedef struct el_sequencing {
    int32_t is_duplicate; /* it was appended before, at the offset that is returned */
    int32_t expected_sequence;
    int16_t epoch; /* the producer's */
} el_sequencing;

/* A transaction that was aborted, for the index of its marker's segment. */
typedef struct el_aborted_entry {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /* the marker's */
    int64_t stable_offset; /* the last stable offset, once the marker was appended */
} el_aborted_entry;

#define EL_ABORTED_ENTRY_BYTES 34
void el_aborted_entry_write(uint8_t *bytes, const el_aborted_entry *entry);

size_t el_producers_bytes(uint32_t capacity);

/* An empty table in memory of el_producers_bytes(capacity): everything before `end_offset` is in it. */
void el_producers_begin(el_producers *table, uint32_t capacity, int64_t end_offset);

/* Can another producer be added? */
int el_producers_has_room(const el_producers *table);

/* The slot of a producer, or a free one for it: its id tells. */
uint32_t el_producers_find(const el_producers *table, int64_t id);

/* May a batch of records be appended behind those of this producer (one with id -1 is not known)? EL_DONE; EL_DUPLICATE, with the
 * offset of its first record; or why it may not. */
int el_producer_check(const el_producer *producer, const el_batch *batch, el_sequencing *sequencing, int64_t *first_offset);

/* A producer of which nothing is known but the id and the epoch of this batch. */
el_producer el_producer_new(const el_batch *batch);

/* Does the marker that aborts a transaction come from a later instance than the producer (id -1: not known)? Then it has something to
 * say even where no transaction is open. */
int el_producer_is_fenced_by(const el_producer *producer, const el_batch *batch);

/* The producer once a batch of records was appended at `offset`. */
void el_producer_note(el_producer *producer, const el_batch *batch, int64_t offset, int64_t now_ms);

/* The producer once the marker that ends its transaction was appended. */
void el_producer_end(el_producer *producer, int16_t epoch, int32_t coordinator_epoch, int64_t now_ms);

/* The first offset of the earliest transaction that is open besides the one in this slot; -1: none. */
int64_t el_producers_first_open(const el_producers *table, uint32_t except_slot);

/* Write what the table will have in this slot once everything before `end_offset` is published. */
void el_producers_prepare(el_producers *table, uint32_t slot, const el_producer *producer, int64_t end_offset);
/* It was published. */
void el_producers_commit(el_producers *table);
/* Complete or drop what a thread that died has prepared: batches of producers are published up to `published`. */
void el_producers_settle(el_producers *table, int64_t published);

/* Add whole, checked batches of the log, those before the table's end offset excepted. Ends at `length`, at bytes that are not a whole
 * batch, as the el_codec_status says, or where an array is full: EL_CODEC_NO_ROOM, if that is the table. Aborted transactions
 * are listed. *consumed is how many bytes of whole batches were added. `written_ms` is when they were written at the latest: the
 * timestamps are the producers'. */
int el_producers_replay(el_producers *table, const uint8_t *data, size_t length, int64_t written_ms, el_aborted_entry *aborted,
                        size_t capacity, size_t *count, size_t *consumed);

/* Copy a table into an empty one, without the producers that have no open transaction and have appended nothing since `expired_before`. */
void el_producers_copy(el_producers *to, const el_producers *from, int64_t expired_before);

/* What is in a slot. */
const el_producer *el_producers_slot(const el_producers *table, uint32_t slot);

/* Add a producer as it stands. */
void el_producers_put(el_producers *table, const el_producer *producer);

#endif
