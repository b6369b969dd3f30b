#include "search.h"

#include <string.h>

typedef uint8_t block __attribute__((vector_size(16)));

/* The bytes of text and JSON, the most common ones first; all others are rarer still. */
static const char common_bytes[] = " e\"ta0o1inrs2l,d:h3c4u56789mpgfy.bwv-_k/{}xEATjSCRINOqzDLMPBFHUGW";

static size_t rareness(uint8_t byte) {
    const char *at = byte == 0 ? NULL : strchr(common_bytes, byte);
    if (byte == 0)
        return 0; /* zeros are common wherever numbers are binary */
    return at == NULL ? sizeof common_bytes : (size_t)(at - common_bytes) + 1;
}

void el_needle_prepare(el_needle *needle, const uint8_t *bytes, const uint8_t *masks, size_t length) {
    *needle = (el_needle){.bytes = bytes, .masks = masks, .length = length};
    for (size_t i = 1; i < length; i++) {
        if (rareness(bytes[i]) > rareness(bytes[needle->rarer])) {
            needle->rare = needle->rarer;
            needle->rarer = i;
        } else if (needle->rare == needle->rarer || rareness(bytes[i]) > rareness(bytes[needle->rare])) {
            needle->rare = i;
        }
    }
}

static int is_at(const el_needle *needle, const uint8_t *at) {
    if (needle->masks == NULL)
        return memcmp(at, needle->bytes, needle->length) == 0;
    for (size_t i = 0; i < needle->length; i++)
        if ((at[i] | needle->masks[i]) != needle->bytes[i])
            return 0;
    return 1;
}

static block load(const uint8_t *at) {
    block bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

static block sixteen(uint8_t byte) {
    block bytes;
    memset(&bytes, byte, sizeof bytes);
    return bytes;
}

/* The first match at one of the eight positions from `start` on whose bytes in `fits` are set, or NULL. */
static const uint8_t *first_of(const el_needle *needle, const uint8_t *start, uint64_t fits) {
    while (fits != 0) {
        unsigned position = (unsigned)__builtin_ctzll(fits) / 8;
        if (is_at(needle, start + position))
            return start + position;
        fits &= ~((uint64_t)0xff << (8 * position));
    }
    return NULL;
}

const uint8_t *el_needle_find(const el_needle *needle, const uint8_t *data, size_t length) {
    if (needle->length == 0)
        return data;
    if (length < needle->length)
        return NULL;
    size_t rare = needle->rare, rarer = needle->rarer, positions = length - needle->length + 1, at = 0;
    uint8_t rare_mask = needle->masks ? needle->masks[rare] : 0, rarer_mask = needle->masks ? needle->masks[rarer] : 0;
    block rare_byte = sixteen(needle->bytes[rare]), rarer_byte = sixteen(needle->bytes[rarer]);
    block rare_masks = sixteen(rare_mask), rarer_masks = sixteen(rarer_mask);
    for (; at + sizeof(block) <= positions; at += sizeof(block)) {
        block fits = (block)((load(data + at + rarer) | rarer_masks) == rarer_byte) &
                     (block)((load(data + at + rare) | rare_masks) == rare_byte);
        uint64_t halves[2];
        memcpy(halves, &fits, sizeof halves);
        if ((halves[0] | halves[1]) == 0)
            continue;
        const uint8_t *found = first_of(needle, data + at, halves[0]);
        if (found == NULL)
            found = first_of(needle, data + at + sizeof *halves, halves[1]);
        if (found != NULL)
            return found;
    }
    for (; at < positions; at++)
        if ((data[at + rarer] | rarer_mask) == needle->bytes[rarer] && is_at(needle, data + at))
            return data + at;
    return NULL;
}

static int holds(const uint8_t *bytes, int32_t length, const el_needle *needle) {
    return length >= 0 && el_needle_find(needle, bytes, (size_t)length) != NULL;
}

int el_record_holds(const el_record *record, const el_needle *needle, unsigned fields) {
    if ((fields & EL_SEARCH_VALUE) && holds(record->value, record->value_length, needle))
        return 1;
    if ((fields & EL_SEARCH_KEY) && holds(record->key, record->key_length, needle))
        return 1;
    if ((fields & EL_SEARCH_HEADERS) == 0)
        return 0;
    const uint8_t *at = record->headers, *end = at + record->headers_length;
    el_header header;
    for (int32_t i = 0; i < record->header_count && el_header_next(&at, end, &header) == EL_CODEC_OK; i++)
        if (holds(header.key, header.key_length, needle) || holds(header.value, header.value_length, needle))
            return 1;
    return 0;
}
