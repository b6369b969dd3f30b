/* Any bytes as a run of batches: the scan, one batch at a time, and the search for the first right one agree. */

#include "plain.h"

/* One batch as the scan is to see it, by the functions for one batch. */
static int check_one(const uint8_t *data, size_t available, el_batch *batch) {
    int status = el_batch_parse(data, available, batch);
    CLAIM(el_codec_status_text(status)[0] != '\0');
    if (status == EL_CODEC_INCOMPLETE)
        CLAIM(batch->size_bytes == 0 ? available < EL_BATCH_HEADER_BYTES : (int64_t)available < batch->size_bytes);
    if (status != EL_CODEC_OK)
        return status;
    CLAIM(batch->size_bytes >= EL_BATCH_HEADER_BYTES && batch->size_bytes <= (int64_t)available);
    CLAIM(batch->base_offset >= 0 && batch->last_offset_delta >= 0 && batch->record_count >= 0);
    status = el_batch_verify(data, batch);
    if (status == EL_CODEC_OK && (batch->attributes & EL_ATTRIBUTE_COMPRESSION) == 0) {
        static plain_record records[PLAIN_RECORDS_MAX];
        size_t length = (size_t)batch->size_bytes - EL_BATCH_HEADER_BYTES;
        const uint8_t *section = data + EL_BATCH_HEADER_BYTES;
        CLAIM(batch->record_count <= (int64_t)length); /* what the header claims is bounded by what is there */
        status = el_batch_verify_records(section, length, batch);
        CLAIM(length > PLAIN_RECORDS_MAX || (plain_parse(section, length, batch, records) >= 0) == (status == EL_CODEC_OK));
    }
    return status;
}

static void check_scan(const uint8_t *data, size_t size, int64_t first_offset) {
    el_scan scan;
    el_batch batch;
    size_t at = 0;
    int64_t next_offset = first_offset, batches = 0, records = 0, max_timestamp = -1;
    int status = EL_CODEC_OK;
    while (at < size && (status = check_one(data + at, size - at, &batch)) == EL_CODEC_OK && batch.base_offset == next_offset) {
        next_offset += batch.last_offset_delta + INT64_C(1);
        batches += 1;
        records += batch.record_count;
        max_timestamp = batch.max_timestamp > max_timestamp ? batch.max_timestamp : max_timestamp;
        at += (size_t)batch.size_bytes;
    }
    el_scan_begin(&scan, first_offset);
    int found = el_scan_batches(data, size, &scan);
    CLAIM(found == scan.status && (found == EL_CODEC_OK) == (at == size));
    CLAIM(scan.valid_bytes == (int64_t)at && scan.next_offset == next_offset && scan.batch_count == batches);
    CLAIM(scan.record_count == records && scan.max_timestamp == max_timestamp);
    CLAIM(found != EL_CODEC_INCOMPLETE || scan.needed_bytes == 0 || scan.needed_bytes > (int64_t)(size - at));
}

static void check_find(const uint8_t *data, size_t size, int64_t next_offset) {
    int64_t found = el_find_batch(data, size, next_offset);
    CLAIM(found >= -1 && found < (int64_t)size);
    for (size_t at = 0; at < (found < 0 ? size : (size_t)found); at++) {
        el_batch batch;
        CLAIM(check_one(data + at, size - at, &batch) != EL_CODEC_OK || batch.base_offset < next_offset);
    }
    if (found >= 0) {
        el_batch batch;
        CLAIM(check_one(data + found, size - (size_t)found, &batch) == EL_CODEC_OK && batch.base_offset >= next_offset);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned choices = take_byte(&data, &size);
    int64_t next_offset = take_byte(&data, &size);
    uint8_t *copy = exact_copy(data, size);
    seal_batches(copy, size, choices);
    el_batch first;
    if (el_batch_parse(copy, size, &first) == EL_CODEC_OK && next_offset % 2)
        next_offset = first.base_offset;
    check_scan(copy, size, next_offset);
    check_find(copy, size, next_offset);
    free(copy);
    return 0;
}
