/* What the fuzz targets share: claims that end the run, copies of exactly their size, and batches with right checksums. */

#ifndef EVENTLOG_FUZZ_FUZZ_H
#define EVENTLOG_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../codec/batch.h"

/* The entry that libFuzzer calls with bytes of its choice (https://llvm.org/docs/LibFuzzer.html). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLAIM(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

/* Take the next byte of the input for a choice; 0 when there is none left. */
static inline uint8_t take_byte(const uint8_t **data, size_t *size) {
    if (*size == 0)
        return 0;
    *size -= 1;
    return *(*data)++;
}

/* A block of exactly its size, so that the address sanitizer sees the first byte that is read beyond it. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + (size == 0));
    CLAIM(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

#define SEAL_CHECKSUMS 1 /* behind a wrong checksum nothing else is looked at: make it right */
#define SEAL_OFFSETS 2   /* and let each batch begin where the one before it ends */

/* Make batch after batch right in what a fuzzer cannot guess, as `choices` (SEAL_..., added up) says, as far as headers can be parsed. */
static inline void seal_batches(uint8_t *data, size_t size, unsigned choices) {
    el_batch batch;
    int64_t next_offset = -1;
    for (size_t at = 0; el_batch_parse(data + at, size - at, &batch) == EL_CODEC_OK; at += (size_t)batch.size_bytes) {
        if (choices & SEAL_CHECKSUMS)
            el_batch_seal(data + at, &batch);
        if ((choices & SEAL_OFFSETS) && next_offset >= 0 && next_offset < INT64_MAX - batch.last_offset_delta)
            el_batch_place(data + at, batch.base_offset = next_offset, batch.leader_epoch);
        next_offset = batch.base_offset + batch.last_offset_delta + 1;
    }
}

#endif
