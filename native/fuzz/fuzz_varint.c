/* Numbers of any length: read alike by two readers, and the same after they were written. */

#include "../codec/varint.h"

#include "plain.h"

static void check_round_trip(int64_t value) {
    uint8_t written[EL_VARLONG_BYTES_MAX];
    uint8_t *end = el_varint_write(written, value);
    size_t length = (size_t)(end - written);
    CLAIM(length == el_varint_size(value) && length <= sizeof written);
    int64_t again;
    const uint8_t *cursor = written;
    CLAIM(el_varint_read(&cursor, end, EL_VARLONG_BYTES_MAX, &again) && again == value && cursor == end);
    cursor = written;
    CLAIM(!el_varint_read(&cursor, end - 1, EL_VARLONG_BYTES_MAX, &again) && cursor == written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int bytes_max = take_byte(&data, &size) % 2 ? EL_VARINT_BYTES_MAX : EL_VARLONG_BYTES_MAX;
    uint8_t *copy = exact_copy(data, size);
    plain_cursor plain = {.section = copy, .end = (int64_t)size};
    const uint8_t *cursor = copy;
    while (!plain.is_wrong) {
        int64_t value, expected = plain_number(&plain, bytes_max);
        CLAIM(el_varint_read(&cursor, copy + size, bytes_max, &value) == !plain.is_wrong);
        if (plain.is_wrong)
            break;
        CLAIM(value == expected && cursor == copy + plain.at);
        check_round_trip(value);
    }
    free(copy);
    return 0;
}
