/* Zig-zag variable-length integers. */

#include <string.h>

#include "../codec/varint.h"
#include "check.h"

static void test_known_bytes(void) {
    static const struct {
        int64_t value;
        uint8_t bytes[10];
        size_t size;
    } known[] = {
        {0, {0x00}, 1},          {-1, {0x01}, 1},         {1, {0x02}, 1},
        {63, {0x7e}, 1},         {-64, {0x7f}, 1},        {64, {0x80, 0x01}, 2},
        {-65, {0x81, 0x01}, 2},  {8191, {0xfe, 0x7f}, 2}, {8192, {0x80, 0x80, 0x01}, 3},
        {INT32_MAX, {0xfe, 0xff, 0xff, 0xff, 0x0f}, 5},
        {INT32_MIN, {0xff, 0xff, 0xff, 0xff, 0x0f}, 5},
        {INT64_MAX, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10},
        {INT64_MIN, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint8_t out[10];
        CHECK((size_t)(el_varint_write(out, known[i].value) - out) == known[i].size);
        CHECK(memcmp(out, known[i].bytes, known[i].size) == 0);
        CHECK(el_varint_size(known[i].value) == known[i].size);
        int64_t value;
        const uint8_t *cursor = out;
        CHECK(el_varint_read(&cursor, out + known[i].size, 10, &value) && value == known[i].value);
        CHECK(cursor == out + known[i].size);
        cursor = out;
        CHECK(!el_varint_read(&cursor, out + known[i].size - 1, 10, &value)); /* cut off */
        CHECK(cursor == out);
    }
}

static void test_a_number_that_does_not_end_is_refused(void) {
    uint8_t endless[12];
    memset(endless, 0x80, sizeof endless);
    int64_t value;
    const uint8_t *cursor = endless;
    CHECK(!el_varint_read(&cursor, endless + sizeof endless, EL_VARINT_BYTES_MAX, &value));
    CHECK(!el_varint_read(&cursor, endless + sizeof endless, EL_VARLONG_BYTES_MAX, &value));
}

int main(void) {
    test_known_bytes();
    test_a_number_that_does_not_end_is_refused();
    return DONE();
}
