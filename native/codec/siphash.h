/* SipHash-2-4 with 128 bits of output: a keyed hash: without the key no one can construct collisions.
 *
 * Source of the algorithm: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012 (https://www.aumasson.jp/siphash/siphash.pdf),
 * and the 128-bit variant in its authors' reference. */

#ifndef EVENTLOG_CODEC_SIPHASH_H
#define EVENTLOG_CODEC_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

void el_siphash_128(const uint64_t key[2], const uint8_t *data, size_t length, uint64_t hash[2]);

#endif
