#include "transactions.h"

#define MARKER_KEY_BYTES 4

/* The type in the key of a control batch's record; -1 if it does not end a transaction. */
static int marker_type(const uint8_t *section, size_t length) {
    const uint8_t *cursor = section;
    el_record record;
    if (el_record_next(&cursor, section + length, &record) != EL_CODEC_OK || record.key_length < MARKER_KEY_BYTES)
        return -1;
    int type = record.key[2] << 8 | record.key[3];
    return type == EL_TRANSACTION_ABORT || type == EL_TRANSACTION_COMMIT ? type : -1;
}

int el_transaction_step_kind(const el_batch *batch, const uint8_t *data) {
    if ((batch->attributes & EL_ATTRIBUTE_TRANSACTIONAL) == 0)
        return -1;
    if ((batch->attributes & EL_ATTRIBUTE_CONTROL) == 0)
        return EL_TRANSACTION_DATA;
    return marker_type(data + EL_BATCH_HEADER_BYTES, (size_t)batch->size_bytes - EL_BATCH_HEADER_BYTES);
}

int el_transaction_steps(const uint8_t *data, size_t length, el_transaction_step *steps, size_t capacity, size_t *count,
                         size_t *consumed) {
    *count = *consumed = 0;
    while (*consumed < length && *count < capacity) {
        el_batch batch;
        const uint8_t *at = data + *consumed;
        int status = el_batch_parse(at, length - *consumed, &batch);
        if (status != EL_CODEC_OK)
            return status;
        int kind = el_transaction_step_kind(&batch, at);
        if (kind >= 0)
            steps[(*count)++] = (el_transaction_step){batch.producer_id, batch.base_offset, kind};
        *consumed += (size_t)batch.size_bytes;
    }
    return EL_CODEC_OK;
}

/* The first transaction, of this producer or a later one, whose marker is behind the offset. */
static size_t first_ending_behind(const el_aborted_list *list, int64_t producer_id, int64_t offset) {
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const el_aborted *entry = &list->entries[middle];
        if (entry->producer_id < producer_id || (entry->producer_id == producer_id && entry->marker_offset <= offset))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int el_is_aborted(const el_aborted_list *list, const el_batch *batch) {
    if (list->count == 0 || (batch->attributes & (EL_ATTRIBUTE_TRANSACTIONAL | EL_ATTRIBUTE_CONTROL)) != EL_ATTRIBUTE_TRANSACTIONAL)
        return 0;
    size_t found = first_ending_behind(list, batch->producer_id, batch->base_offset);
    return found < list->count && list->entries[found].producer_id == batch->producer_id &&
           list->entries[found].first_offset <= batch->base_offset;
}
