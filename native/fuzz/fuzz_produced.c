/* Batches as any client may send them: what is accepted are whole, right batches of records that can be read, whatever else the bytes say. */

#include "../codec/produced.h"
#include "fuzz.h"

enum { LARGEST = 1 << 20, APPEND_TIME = 12345 };

static void check_accepted(const uint8_t *data, size_t size, const el_produced_rules *rules) {
    size_t at = 0;
    while (at < size) {
        el_batch batch;
        CLAIM(el_batch_parse(data + at, size - at, &batch) == EL_CODEC_OK && el_batch_verify(data + at, &batch) == EL_CODEC_OK);
        CLAIM(batch.base_offset == 0 && batch.record_count == batch.last_offset_delta + 1 && batch.size_bytes <= rules->batch_bytes_max);
        CLAIM(!rules->has_append_time || batch.max_timestamp == APPEND_TIME);
        size_t length = (size_t)batch.size_bytes - EL_BATCH_HEADER_BYTES;
        if ((batch.attributes & EL_ATTRIBUTE_COMPRESSION) == 0 && rules->codec <= 0)
            CLAIM(el_batch_verify_records(data + at + EL_BATCH_HEADER_BYTES, length, &batch) == EL_CODEC_OK);
        at += (size_t)batch.size_bytes;
    }
    CLAIM(at == size);
}

/* Accept a batch whose records the caller has to decompress: they are any bytes, such as those that are there. */
static int accept_others(uint8_t *batches, const el_produced_rules *rules, el_produced *produced) {
    size_t length = (size_t)produced->batch.size_bytes - EL_BATCH_HEADER_BYTES;
    uint8_t *records = exact_copy(batches + produced->position + EL_BATCH_HEADER_BYTES, length);
    int status = el_produced_accept_records(batches, records, length, rules, produced);
    int32_t numbers[3] = {-1, -1, -1};
    size_t count = el_produced_list_keyless(records, length, numbers, 2);
    CLAIM(numbers[count] == -1);
    CLAIM(status != EL_PRODUCED_NO_KEY || (count > 0 && numbers[0] == produced->record_number));
    free(records);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned choices = take_byte(&data, &size);
    el_produced_rules rules = {
        .batch_bytes_max = choices & 1 ? 200 : LARGEST,
        .needs_keys = (choices >> 1) & 1,
        .has_append_time = (choices >> 2) & 1,
        .codec = (int16_t)((int)((choices >> 3) & 7) - 1),
    };
    uint8_t *batches = exact_copy(data, size);
    if (choices & 0x40)
        seal_batches(batches, size, SEAL_CHECKSUMS);
    el_produced produced = {.append_time_ms = APPEND_TIME};
    int status;
    do {
        status = el_produced_accept(batches, size, &rules, &produced);
        if (status == EL_PRODUCED_OTHER_CODEC)
            status = accept_others(batches, &rules, &produced);
        else
            break;
    } while (status == EL_CODEC_OK && (size_t)produced.position < size);
    CLAIM(produced.position >= 0 && (size_t)produced.position <= size);
    CLAIM(status != EL_CODEC_OK || (size_t)produced.position == size);
    CLAIM(produced.record_count >= 0 && produced.record_count <= produced.position);
    check_accepted(batches, (size_t)produced.position, &rules);
    free(batches);
    return 0;
}
