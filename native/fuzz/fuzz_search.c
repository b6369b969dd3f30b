/* A needle and a haystack: the search finds what looking at every place finds, in bytes and in the fields of a record. */

#include "../codec/search.h"

#include "fuzz.h"

static int stands_at(const el_needle *needle, const uint8_t *at) {
    for (size_t i = 0; i < needle->length; i++)
        if ((at[i] | (needle->masks == NULL ? 0 : needle->masks[i])) != needle->bytes[i])
            return 0;
    return 1;
}

static const uint8_t *find_plainly(const el_needle *needle, const uint8_t *data, size_t length) {
    for (size_t at = 0; at + needle->length <= length; at++)
        if (stands_at(needle, data + at))
            return data + at;
    return NULL;
}

static int holds_plainly(const el_needle *needle, const uint8_t *data, int64_t length) {
    return length >= 0 && find_plainly(needle, data, (size_t)length) != NULL;
}

static int record_holds_plainly(const el_record *record, const el_needle *needle, unsigned fields) {
    const uint8_t *at = record->headers, *end = at + record->headers_length;
    int found = ((fields & EL_SEARCH_KEY) && holds_plainly(needle, record->key, record->key_length)) ||
                ((fields & EL_SEARCH_VALUE) && holds_plainly(needle, record->value, record->value_length));
    el_header header;
    for (int32_t i = 0; (fields & EL_SEARCH_HEADERS) && i < record->header_count; i++) {
        if (el_header_next(&at, end, &header) != EL_CODEC_OK)
            break;
        found |= holds_plainly(needle, header.key, header.key_length) || holds_plainly(needle, header.value, header.value_length);
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned choices = take_byte(&data, &size);
    size_t length = take_byte(&data, &size) % 32;
    length = length < size ? length : size;
    uint8_t *bytes = exact_copy(data, length), *masks = calloc(1, length + 1);
    for (size_t i = 0; i < length; i++) {
        int is_letter = (choices & 1) && (bytes[i] & ~0x20) >= 'A' && (bytes[i] & ~0x20) <= 'Z';
        masks[i] = is_letter ? 0x20 : 0;
        bytes[i] |= masks[i];
    }
    el_needle needle;
    el_needle_prepare(&needle, bytes, choices & 1 ? masks : NULL, length);
    uint8_t *hay = exact_copy(data + length, size - length);
    CLAIM(el_needle_find(&needle, hay, size - length) == find_plainly(&needle, hay, size - length));
    const uint8_t *cursor = hay;
    el_record record;
    while (cursor < hay + (size - length) && el_record_next(&cursor, hay + (size - length), &record) == EL_CODEC_OK)
        for (unsigned fields = 0; fields < 8; fields++)
            CLAIM(el_record_holds(&record, &needle, fields) == record_holds_plainly(&record, &needle, fields));
    free(bytes);
    free(masks);
    free(hay);
    return 0;
}
