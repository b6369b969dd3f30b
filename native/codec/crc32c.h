/* CRC32C (Castagnoli), the checksum of RecordBatch v2. */

#ifndef EVENTLOG_CODEC_CRC32C_H
#define EVENTLOG_CODEC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Checksum of `length` bytes, going on from `crc` (0 to begin). The fastest implementation
 * that this processor can run is chosen at load time. */
uint32_t el_crc32c(uint32_t crc, const void *data, size_t length);

#define EL_CRC32C_IMPLEMENTATIONS_MAX 3

typedef struct el_crc32c_implementation {
    const char *name; /* "portable", "sse4.2", "armv8" or "vpclmulqdq" */
    uint32_t (*compute)(uint32_t crc, const void *data, size_t length);
} el_crc32c_implementation;

/* Those that this processor can run, from the portable one, which is the tests' reference, to the chosen one; and their number. */
size_t el_crc32c_implementations(const el_crc32c_implementation **first);

#endif
