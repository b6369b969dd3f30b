/* CRC32C (Castagnoli), the checksum of RecordBatch v2. */

#ifndef EVENTLOG_CODEC_CRC32C_H
#define EVENTLOG_CODEC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Checksum of `length` bytes, going on from `crc` (0 to begin). The fastest implementation
 * that this processor can run is chosen at load time. */
uint32_t el_crc32c(uint32_t crc, const void *data, size_t length);

/* The portable implementation, for processors without the instruction and as the tests' reference. */
uint32_t el_crc32c_portable(uint32_t crc, const void *data, size_t length);

/* "sse4.2", "armv8" or "portable". */
const char *el_crc32c_implementation(void);

#endif
