/* Transactions in memory: which batches are listed, and which belong to one that was aborted. */

#include <string.h>

#include "../codec/transactions.h"
#include "check.h"

static uint8_t log_bytes[4096];

/* Write a batch of one record as part of a transaction; with a type it is the marker that ends it. */
static size_t put(uint8_t *at, int64_t base_offset, int64_t producer_id, int attributes, int type) {
    const uint8_t key[4] = {0, 0, (uint8_t)(type >> 8), (uint8_t)type};
    el_batch_writer writer;
    el_batch batch;
    el_batch_begin(&writer, at, 512);
    el_batch_add(&writer, 1000, key, sizeof key, NULL, -1, NULL, 0, 0);
    size_t length = el_batch_finish(&writer, 0);
    el_batch_parse(at, length, &batch);
    batch.base_offset = base_offset;
    batch.producer_id = producer_id;
    batch.attributes = (int16_t)attributes;
    el_batch_seal(at, &batch);
    return length;
}

static void test_batches_of_transactions_are_listed_and_no_others(void) {
    enum { DATA = EL_ATTRIBUTE_TRANSACTIONAL, MARKER = EL_ATTRIBUTE_TRANSACTIONAL | EL_ATTRIBUTE_CONTROL };
    size_t length = put(log_bytes, 0, 7, 0, 9);
    length += put(log_bytes + length, 1, 7, DATA, 9);
    length += put(log_bytes + length, 2, 8, MARKER, EL_TRANSACTION_ABORT);
    length += put(log_bytes + length, 3, 7, MARKER, 2); /* a change of leader */
    size_t last = put(log_bytes + length, 4, 7, MARKER, EL_TRANSACTION_COMMIT), count, consumed;
    length += last;
    el_transaction_step steps[8];
    CHECK(el_transaction_steps(log_bytes, length, steps, 8, &count, &consumed) == EL_CODEC_OK && consumed == length);
    CHECK(count == 3 && steps[0].producer_id == 7 && steps[0].offset == 1 && steps[0].kind == EL_TRANSACTION_DATA);
    CHECK(steps[1].producer_id == 8 && steps[1].offset == 2 && steps[1].kind == EL_TRANSACTION_ABORT);
    CHECK(steps[2].producer_id == 7 && steps[2].offset == 4 && steps[2].kind == EL_TRANSACTION_COMMIT);
    CHECK(el_transaction_steps(log_bytes, length, steps, 2, &count, &consumed) == EL_CODEC_OK && count == 2 && consumed < length);
    CHECK(el_transaction_steps(log_bytes, length - 1, steps, 8, &count, &consumed) == EL_CODEC_INCOMPLETE);
    CHECK(count == 2 && consumed == length - last);
}

static int is_aborted(const el_aborted_list *list, int64_t producer_id, int64_t offset, int attributes) {
    el_batch batch = {.producer_id = producer_id, .base_offset = offset, .attributes = (int16_t)attributes};
    return el_is_aborted(list, &batch);
}

static void test_a_batch_belongs_to_the_transaction_of_its_producer_that_ends_behind_it(void) {
    const el_aborted entries[] = {{7, 10, 20}, {7, 30, 40}, {8, 5, 50}};
    const el_aborted_list list = {entries, 3}, none = {NULL, 0};
    const int data = EL_ATTRIBUTE_TRANSACTIONAL;
    for (int64_t offset = 0; offset < 60; offset++) {
        CHECK(is_aborted(&list, 7, offset, data) == ((offset >= 10 && offset < 20) || (offset >= 30 && offset < 40)));
        CHECK(is_aborted(&list, 8, offset, data) == (offset >= 5 && offset < 50));
        CHECK(!is_aborted(&list, 6, offset, data) && !is_aborted(&list, 9, offset, data) && !is_aborted(&none, 7, offset, data));
        CHECK(!is_aborted(&list, 7, offset, 0) && !is_aborted(&list, 7, offset, data | EL_ATTRIBUTE_CONTROL));
    }
}

int main(void) {
    test_batches_of_transactions_are_listed_and_no_others();
    test_a_batch_belongs_to_the_transaction_of_its_producer_that_ends_behind_it();
    return DONE();
}
