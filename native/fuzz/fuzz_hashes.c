/* Checksums and hashes of any bytes, in blocks of exactly their size: the parts of a CRC32C add up, and the same bytes have one hash. */

#include "../codec/crc32c.h"
#include "../codec/murmur2.h"
#include "../codec/siphash.h"
#include "fuzz.h"

/* Bit by bit, by the definition of Castagnoli's polynomial. */
static uint32_t crc32c_plainly(const uint8_t *data, size_t size) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ UINT32_C(0x82f63b78) : crc >> 1;
    }
    return ~crc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t cut = take_byte(&data, &size);
    cut = cut < size ? cut : size;
    uint8_t *whole = exact_copy(data, size), *head = exact_copy(data, cut), *tail = exact_copy(data + cut, size - cut);
    uint32_t crc = el_crc32c(0, whole, size);
    CLAIM(crc == crc32c_plainly(whole, size));
    CLAIM(crc == el_crc32c(el_crc32c(0, head, cut), tail, size - cut));
    int32_t partitions = 1 + (int32_t)cut, partition = el_partition_for_key((const char *)tail, size - cut, partitions);
    CLAIM(partition >= 0 && partition < partitions);
    uint64_t secret[2] = {cut, size}, one[2], other[2];
    el_siphash_128(secret, whole + cut, size - cut, one); /* another alignment gives no other hash */
    el_siphash_128(secret, tail, size - cut, other);
    CLAIM(one[0] == other[0] && one[1] == other[1]);
    free(whole);
    free(head);
    free(tail);
    return 0;
}
