#define _GNU_SOURCE
#include "producers.h"

#include <string.h>

#include "../codec/assertions.h"
#include "../codec/big_endian.h"
#include "../codec/transactions.h"
#include "fault.h"

#define SEQUENCE_MAX INT32_MAX

void el_aborted_entry_write(uint8_t *bytes, const el_aborted_entry *entry) {
    el_store_16(bytes, 0); /* the version */
    el_store_64(bytes + 2, (uint64_t)entry->producer_id);
    el_store_64(bytes + 10, (uint64_t)entry->first_offset);
    el_store_64(bytes + 18, (uint64_t)entry->last_offset);
    el_store_64(bytes + 26, (uint64_t)entry->stable_offset);
}

size_t el_producers_bytes(uint32_t capacity) {
    return sizeof(el_producers) + capacity * sizeof(el_producer);
}

void el_producers_begin(el_producers *table, uint32_t capacity, int64_t end_offset) {
    EL_ASSERT(capacity >= 4 && (capacity & (capacity - 1)) == 0);
    memset(table, 0, sizeof *table);
    table->magic = EL_PRODUCERS_MAGIC;
    table->capacity = capacity;
    table->end_offset = end_offset;
    for (uint32_t slot = 0; slot < capacity; slot++)
        table->slots[slot].id = -1;
    atomic_store(&table->is_ready, 1);
}

int el_producers_has_room(const el_producers *table) {
    return table->count < table->capacity / 4 * 3;
}

/* Ids are often consecutive, or multiples of a number: spread them. */
static uint32_t home_of(const el_producers *table, int64_t id) {
    uint64_t hash = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32) & (table->capacity - 1);
}

uint32_t el_producers_find(const el_producers *table, int64_t id) {
    uint32_t slot = home_of(table, id);
    for (uint32_t passed = 0; passed < table->capacity && table->slots[slot].id != id && table->slots[slot].id != -1; passed++)
        slot = (slot + 1) & (table->capacity - 1);
    return slot;
}

/* The sequence number `delta` after this one: the last one is followed by 0. */
static int32_t sequence_behind(int32_t sequence, int32_t delta) {
    return (int32_t)(((int64_t)sequence + delta) % ((int64_t)SEQUENCE_MAX + 1));
}

static int32_t first_sequence(const el_producer_batch *batch) {
    int64_t first = (int64_t)batch->last_sequence - batch->offset_delta;
    return (int32_t)(first < 0 ? first + SEQUENCE_MAX + 1 : first);
}

static const el_producer_batch *find_batch(const el_producer *producer, const el_batch *batch) {
    for (int number = producer->batch_count - 1; number >= 0; number--) {
        const el_producer_batch *known = &producer->batches[number];
        if (first_sequence(known) == batch->base_sequence && known->offset_delta == batch->last_offset_delta)
            return known;
    }
    return NULL;
}

/* Is it older than all batches that are known of a producer of whom fewer are known than are remembered? A snapshot has only the last. */
static int was_forgotten(const el_producer *producer, const el_batch *batch) {
    if (producer->batch_count == 0 || producer->batch_count == EL_PRODUCER_BATCHES)
        return 0;
    int64_t distance = (int64_t)first_sequence(&producer->batches[0]) - sequence_behind(batch->base_sequence, batch->last_offset_delta);
    distance = distance < 0 ? distance + SEQUENCE_MAX + 1 : distance;
    return distance >= 1 && distance <= SEQUENCE_MAX / 2;
}

static int check_sequence(const el_producer *producer, const el_batch *batch, el_sequencing *sequencing) {
    int is_new_epoch = batch->producer_epoch != producer->epoch;
    int32_t expected = 0;
    if (!is_new_epoch && producer->batch_count > 0)
        expected = sequence_behind(producer->batches[producer->batch_count - 1].last_sequence, 1);
    sequencing->expected_sequence = expected;
    if (batch->base_sequence == expected)
        return EL_DONE;
    return !is_new_epoch && was_forgotten(producer, batch) ? EL_DUPLICATE_SEQUENCE : EL_OUT_OF_ORDER;
}

int el_producer_check(const el_producer *producer, const el_batch *batch, el_sequencing *sequencing, int64_t *first_offset) {
    *sequencing = (el_sequencing){.epoch = producer->epoch};
    if (producer->id < 0)
        return EL_DONE; /* whatever its first sequence number is: its state may have expired */
    if (batch->producer_epoch < producer->epoch)
        return EL_PRODUCER_FENCED;
    if (batch->producer_epoch == producer->epoch) {
        const el_producer_batch *known = find_batch(producer, batch);
        if (known != NULL) {
            sequencing->is_duplicate = 1;
            *first_offset = known->last_offset - known->offset_delta;
            return EL_DUPLICATE;
        }
    }
    int status = check_sequence(producer, batch, sequencing);
    int is_transactional = (batch->attributes & EL_ATTRIBUTE_TRANSACTIONAL) != 0;
    return status == EL_DONE && producer->transaction_start >= 0 && !is_transactional ? EL_IN_TRANSACTION : status;
}

el_producer el_producer_new(const el_batch *batch) {
    return (el_producer){.id = batch->producer_id, .transaction_start = -1, .coordinator_epoch = -1, .epoch = batch->producer_epoch};
}

int el_producer_is_fenced_by(const el_producer *producer, const el_batch *batch) {
    return batch->producer_epoch > (producer->id < 0 ? 0 : producer->epoch);
}

static void set_epoch(el_producer *producer, int16_t epoch) {
    if (producer->epoch != epoch)
        producer->batch_count = 0;
    producer->epoch = epoch;
}

void el_producer_note(el_producer *producer, const el_batch *batch, int64_t offset, int64_t now_ms) {
    set_epoch(producer, batch->producer_epoch);
    if (producer->batch_count == EL_PRODUCER_BATCHES)
        memmove(producer->batches, producer->batches + 1, (EL_PRODUCER_BATCHES - 1) * sizeof *producer->batches);
    else
        producer->batch_count++;
    producer->batches[producer->batch_count - 1] = (el_producer_batch){
        .last_offset = offset + batch->last_offset_delta,
        .timestamp = batch->max_timestamp,
        .last_sequence = sequence_behind(batch->base_sequence, batch->last_offset_delta),
        .offset_delta = batch->last_offset_delta,
    };
    if ((batch->attributes & EL_ATTRIBUTE_TRANSACTIONAL) != 0 && producer->transaction_start < 0)
        producer->transaction_start = offset;
    producer->last_ms = now_ms;
}

void el_producer_end(el_producer *producer, int16_t epoch, int32_t coordinator_epoch, int64_t now_ms) {
    set_epoch(producer, epoch);
    producer->coordinator_epoch = coordinator_epoch;
    producer->transaction_start = -1;
    producer->last_ms = now_ms;
}

int64_t el_producers_first_open(const el_producers *table, uint32_t except_slot) {
    int64_t first = -1;
    for (uint32_t slot = 0; slot < table->capacity; slot++) {
        int64_t start = table->slots[slot].id < 0 || slot == except_slot ? -1 : table->slots[slot].transaction_start;
        if (start >= 0 && (first < 0 || start < first))
            first = start;
    }
    return first;
}

void el_producers_prepare(el_producers *table, uint32_t slot, const el_producer *producer, int64_t end_offset) {
    const el_producer *former = &table->slots[slot];
    EL_ASSERT(!atomic_load(&table->next_is_complete) && (former->id == -1 || former->id == producer->id));
    uint32_t was_open = former->id >= 0 && former->transaction_start >= 0, is_open = producer->transaction_start >= 0;
    table->next = *producer;
    table->next_slot = slot;
    table->next_end_offset = end_offset;
    table->next_count = table->count + (former->id < 0);
    table->next_open_transactions = table->open_transactions - was_open + is_open;
    EL_FAULT_POINT("producers.next");
    atomic_store_explicit(&table->next_is_complete, 1, memory_order_release);
    EL_FAULT_POINT("producers.prepared");
}

void el_producers_commit(el_producers *table) {
    EL_ASSERT(atomic_load(&table->next_is_complete) && table->next_end_offset > table->end_offset);
    table->slots[table->next_slot] = table->next;
    EL_FAULT_POINT("producers.slot");
    table->count = table->next_count;
    table->open_transactions = table->next_open_transactions;
    EL_FAULT_POINT("producers.counted");
    table->end_offset = table->next_end_offset;
    EL_FAULT_POINT("producers.end");
    atomic_store_explicit(&table->next_is_complete, 0, memory_order_release);
    EL_FAULT_POINT("producers.committed");
}

void el_producers_settle(el_producers *table, int64_t published) {
    if (!atomic_load_explicit(&table->next_is_complete, memory_order_acquire))
        return;
    if (table->next_end_offset <= published && table->next_end_offset > table->end_offset)
        el_producers_commit(table);
    atomic_store(&table->next_is_complete, 0);
}

const el_producer *el_producers_slot(const el_producers *table, uint32_t slot) {
    return &table->slots[slot];
}

void el_producers_put(el_producers *table, const el_producer *producer) {
    uint32_t slot = el_producers_find(table, producer->id);
    const el_producer *former = &table->slots[slot];
    if (former->id >= 0 && former->transaction_start >= 0)
        table->open_transactions--;
    table->count += former->id < 0;
    table->open_transactions += producer->transaction_start >= 0;
    table->slots[slot] = *producer;
}

void el_producers_copy(el_producers *to, const el_producers *from, int64_t expired_before) {
    for (uint32_t slot = 0; slot < from->capacity; slot++) {
        const el_producer *producer = &from->slots[slot];
        if (producer->id >= 0 && (producer->transaction_start >= 0 || producer->last_ms >= expired_before) && el_producers_has_room(to))
            el_producers_put(to, producer);
    }
    to->end_offset = from->end_offset;
}

/* The epoch of the coordinator that wrote a marker: its value is i16 version and i32 epoch. */
static int32_t coordinator_epoch_of(const uint8_t *data, const el_batch *batch) {
    const uint8_t *cursor = data + EL_BATCH_HEADER_BYTES;
    el_record record;
    int is_read = el_record_next(&cursor, data + batch->size_bytes, &record) == EL_CODEC_OK && record.value_length >= 6;
    return is_read ? (int32_t)el_load_32(record.value + 2) : -1;
}

static void replay_marker(el_producers *table, const uint8_t *data, const el_batch *batch, int kind, int64_t written_ms,
                          el_aborted_entry *aborted, size_t *count) {
    uint32_t slot = el_producers_find(table, batch->producer_id);
    el_producer producer = table->slots[slot];
    if (producer.id < 0 && !(kind == EL_TRANSACTION_ABORT && el_producer_is_fenced_by(&producer, batch)))
        return;
    if (producer.id < 0)
        producer = el_producer_new(batch);
    if (kind == EL_TRANSACTION_ABORT && producer.transaction_start >= 0) {
        int64_t others = el_producers_first_open(table, slot);
        int64_t stable = others >= 0 ? others : batch->base_offset + 1;
        aborted[(*count)++] = (el_aborted_entry){batch->producer_id, producer.transaction_start, batch->base_offset, stable};
    }
    el_producer_end(&producer, batch->producer_epoch, coordinator_epoch_of(data, batch), written_ms);
    el_producers_put(table, &producer);
}

static void replay_records(el_producers *table, const el_batch *batch, int64_t written_ms) {
    uint32_t slot = el_producers_find(table, batch->producer_id);
    el_producer producer = table->slots[slot];
    if (producer.id < 0)
        producer = el_producer_new(batch);
    el_producer_note(&producer, batch, batch->base_offset, written_ms);
    el_producers_put(table, &producer);
}

int el_producers_replay(el_producers *table, const uint8_t *data, size_t length, int64_t written_ms, el_aborted_entry *aborted,
                        size_t capacity, size_t *count, size_t *consumed) {
    *count = *consumed = 0;
    while (*consumed < length && *count < capacity) {
        el_batch batch;
        const uint8_t *at = data + *consumed;
        int status = el_batch_parse(at, length - *consumed, &batch);
        if (status != EL_CODEC_OK)
            return status;
        if (batch.producer_id >= 0 && batch.base_offset >= table->end_offset) {
            int kind = el_transaction_step_kind(&batch, at);
            if (!el_producers_has_room(table))
                return EL_CODEC_NO_ROOM;
            if ((batch.attributes & EL_ATTRIBUTE_CONTROL) != 0 && kind >= 0)
                replay_marker(table, at, &batch, kind, written_ms, aborted, count);
            else if ((batch.attributes & EL_ATTRIBUTE_CONTROL) == 0)
                replay_records(table, &batch, written_ms);
        }
        int64_t end_offset = batch.base_offset + batch.last_offset_delta + 1;
        table->end_offset = end_offset > table->end_offset ? end_offset : table->end_offset;
        *consumed += (size_t)batch.size_bytes;
    }
    return EL_CODEC_OK;
}
