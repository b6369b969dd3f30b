/* CRC32C: published values, and agreement of the implementations at every length and alignment. */

#include <string.h>

#include "../codec/crc32c.h"
#include "check.h"

/* Source: RFC 3720, appendix B.4. */
static void test_the_values_of_the_rfc(void) {
    uint8_t data[32];
    memset(data, 0, sizeof data);
    CHECK(el_crc32c(0, data, 32) == 0x8a9136aa);
    memset(data, 0xff, sizeof data);
    CHECK(el_crc32c(0, data, 32) == 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        data[i] = (uint8_t)i;
    CHECK(el_crc32c(0, data, 32) == 0x46dd794e);
    CHECK(el_crc32c(0, "123456789", 9) == 0xe3069283);
    CHECK(el_crc32c_portable(0, "123456789", 9) == 0xe3069283);
}

static void test_all_implementations_agree(void) {
    uint32_t state = 1;
    for (size_t length = 0; length <= 20000; length += length < 400 ? 1 : 1777) {
        for (size_t alignment = 0; alignment < 9; alignment++) {
            uint8_t *data = malloc(length + alignment + 1);
            for (size_t i = 0; i < length + alignment; i++)
                data[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
            const uint8_t *start = data + alignment;
            uint32_t whole = el_crc32c_portable(0, start, length);
            CHECK(el_crc32c(0, start, length) == whole);
            size_t part = length / 3;
            CHECK(el_crc32c(el_crc32c(0, start, part), start + part, length - part) == whole);
            free(data);
        }
    }
}

int main(void) {
    test_the_values_of_the_rfc();
    test_all_implementations_agree();
    return DONE();
}
