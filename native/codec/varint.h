/* Zig-zag variable-length integers, as in Kafka's records and Protocol Buffers
 * (https://protobuf.dev/programming-guides/encoding/): seven bits a byte, least significant first. */

#ifndef EVENTLOG_CODEC_VARINT_H
#define EVENTLOG_CODEC_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define EL_VARINT_BYTES_MAX 5
#define EL_VARLONG_BYTES_MAX 10

static inline uint64_t el_zigzag(int64_t value) {
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline size_t el_varint_size(int64_t value) {
    uint64_t bits = el_zigzag(value);
    if (bits < 1 << 14) /* as nearly all are: two comparisons that are guessed right cost less than a division */
        return bits < 1 << 7 ? 1 : 2;
    return (size_t)((63 - __builtin_clzll(bits)) / 7 + 1);
}

static inline uint8_t *el_varint_write(uint8_t *out, int64_t value) {
    uint64_t bits = el_zigzag(value);
    while (bits >= 0x80) {
        *out++ = (uint8_t)(bits | 0x80);
        bits >>= 7;
    }
    *out++ = (uint8_t)bits;
    return out;
}

/* Read at most bytes_max bytes before `end`. Returns 1, or 0 when the bytes end or the number does not. */
static inline int el_varint_read(const uint8_t **cursor, const uint8_t *end, int bytes_max, int64_t *value) {
    const uint8_t *at = *cursor;
    uint64_t bits = 0;
    for (int i = 0; i < bytes_max; i++) {
        if (at == end)
            return 0;
        uint64_t byte = *at++;
        bits |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            *cursor = at;
            return 1;
        }
    }
    return 0;
}

#endif
