#include "murmur2.h"

#include <string.h>

#define SEED UINT32_C(0x9747b28c)
#define MULTIPLIER UINT32_C(0x5bd1e995)
#define WORD_BYTES 4

uint32_t el_murmur2(const uint8_t *data, size_t length) {
    uint32_t hash = SEED ^ (uint32_t)length;
    for (; length >= WORD_BYTES; data += WORD_BYTES, length -= WORD_BYTES) {
        uint32_t word;
        memcpy(&word, data, sizeof word); /* little-endian, as every processor is that this is built for */
        word *= MULTIPLIER;
        word = (word ^ word >> 24) * MULTIPLIER;
        hash = hash * MULTIPLIER ^ word;
    }
    if (length > 0) {
        for (size_t i = 0; i < length; i++)
            hash ^= (uint32_t)data[i] << 8 * i;
        hash *= MULTIPLIER;
    }
    hash = (hash ^ hash >> 13) * MULTIPLIER;
    return hash ^ hash >> 15;
}

int32_t el_partition_for_key(const char *key, size_t length, int32_t partitions) {
    return (int32_t)(el_murmur2((const uint8_t *)key, length) & INT32_MAX) % partitions;
}
