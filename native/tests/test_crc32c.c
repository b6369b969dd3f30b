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
}

static void check_agreement(const uint8_t *data, size_t length) {
    const el_crc32c_implementation *implementations;
    size_t count = el_crc32c_implementations(&implementations), part = length / 3;
    uint32_t whole = implementations[0].compute(0, data, length);
    CHECK(el_crc32c(0, data, length) == whole);
    for (size_t i = 0; i < count; i++) {
        uint32_t begun = implementations[i].compute(0, data, part);
        CHECK(implementations[i].compute(0, data, length) == whole);
        CHECK(implementations[i].compute(begun, data + part, length - part) == whole);
    }
}

static void test_all_implementations_agree(void) {
    uint32_t state = 1;
    for (size_t length = 0; length <= 20000; length += length < 1200 ? 1 : 1777) {
        for (size_t alignment = 0; alignment < 9; alignment++) {
            uint8_t *data = malloc(length + alignment + 1);
            for (size_t i = 0; i < length + alignment; i++)
                data[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
            check_agreement(data + alignment, length);
            free(data);
        }
    }
}

int main(void) {
    test_the_values_of_the_rfc();
    test_all_implementations_agree();
    return DONE();
}
