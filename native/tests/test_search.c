/* The search finds what a byte by byte comparison finds, reads nothing beyond its bytes, and takes no hit in the framing for one.
 *
 * Every input stands in a block of exactly its size, so that the address sanitizer sees a read beyond its end. */

#include <string.h>

#include "../codec/search.h"
#include "../store/reader.h"
#include "check.h"

static uint32_t state = 20261125;

static uint32_t next_random(uint32_t bound) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % bound;
}

static const uint8_t *find_plainly(const uint8_t *bytes, const uint8_t *masks, size_t length, const uint8_t *data, size_t size) {
    for (size_t at = 0; at + length <= size; at++) {
        size_t same = 0;
        while (same < length && (data[at + same] | (masks ? masks[same] : 0)) == bytes[same])
            same++;
        if (same == length)
            return data + at;
    }
    return NULL;
}

/* Few different bytes, so that strings are found, and found in part, everywhere. */
static void fill(uint8_t *bytes, size_t length, uint32_t letters) {
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)("abcXYZ\0\xff"[next_random(letters)]);
}

static void test_random_strings(void) {
    for (int round = 0; round < 200000; round++) {
        size_t size = next_random(90), length = next_random(round % 3 == 0 ? 40 : 5);
        uint8_t *data = malloc(size + (size == 0)), *bytes = malloc(length + 1), *masks = malloc(length + 1);
        uint32_t letters = 1 + next_random(8);
        fill(data, size, letters);
        fill(bytes, length, letters);
        if (length <= size && next_random(3) == 0)
            memcpy(bytes, data + next_random((uint32_t)(size - length + 1)), length);
        int ignores_case = next_random(2) == 0;
        for (size_t i = 0; i < length; i++) {
            int is_letter = (bytes[i] | 0x20) >= 'a' && (bytes[i] | 0x20) <= 'z';
            masks[i] = ignores_case && is_letter ? 0x20 : 0;
            bytes[i] |= masks[i];
        }
        el_needle needle;
        el_needle_prepare(&needle, bytes, ignores_case ? masks : NULL, length);
        CHECK(el_needle_find(&needle, data, size) == find_plainly(bytes, ignores_case ? masks : NULL, length, data, size));
        free(data);
        free(bytes);
        free(masks);
    }
}

typedef struct sample {
    const char *key, *value, *header_name, *header_value;
} sample;

static const sample samples[] = {
    {"needle", "other", NULL, NULL},     {"other", "a needle.", NULL, NULL}, {"nee", "dle", NULL, NULL},
    {"x", "", "needle", NULL},           {NULL, NULL, "name", "needle"},     {"x", "need", "le", "x"},
    {"other", "needle", "name", "other"}, {NULL, "nothing", NULL, NULL},      {"needle", "needle", "needle", "needle"},
};

#define SAMPLES (int)(sizeof samples / sizeof *samples)

static const uint8_t *bytes_of(const char *text) {
    return (const uint8_t *)text;
}

static int64_t length_of(const char *text) {
    return text == NULL ? -1 : (int64_t)strlen(text);
}

/* A batch of the samples in a block of its size. */
static uint8_t *encode(size_t *size) {
    uint8_t buffer[2048], headers[64];
    el_batch_writer writer;
    el_batch_begin(&writer, buffer, sizeof buffer);
    for (int i = 0; i < SAMPLES; i++) {
        const sample *one = &samples[i];
        size_t headers_length = 0;
        if (one->header_name != NULL)
            headers_length = el_header_write(headers, bytes_of(one->header_name), length_of(one->header_name),
                                             bytes_of(one->header_value), length_of(one->header_value));
        CHECK(el_batch_add(&writer, 1000, bytes_of(one->key), length_of(one->key), bytes_of(one->value),
                           length_of(one->value), headers, headers_length, one->header_name != NULL) == EL_CODEC_OK);
    }
    *size = el_batch_finish(&writer, 0);
    uint8_t *exact = malloc(*size);
    memcpy(exact, buffer, *size);
    return exact;
}

/* The offsets that a search finds, as a mask. */
static unsigned search(const char *text, unsigned fields, int64_t start, int64_t stop) {
    size_t size;
    uint8_t *data = encode(&size);
    el_batch batch;
    CHECK(el_batch_parse(data, size, &batch) == EL_CODEC_OK);
    el_reader *reader = el_reader_new(1);
    el_reader_decode(reader, &batch, data + EL_BATCH_HEADER_BYTES, size - EL_BATCH_HEADER_BYTES);
    reader->next_offset = start;
    el_needle needle;
    el_needle_prepare(&needle, bytes_of(text), NULL, strlen(text));
    el_record record;
    unsigned found = 0;
    int more;
    while ((more = el_reader_search(reader, stop, &needle, fields, &record)) == 1)
        found |= 1u << record.offset_delta;
    CHECK(more == 0);
    CHECK(reader->next_offset >= (stop < SAMPLES ? stop : SAMPLES));
    el_reader_free(reader);
    free(data);
    return found;
}

static void test_fields_are_told_apart(void) {
    CHECK(search("needle", EL_SEARCH_VALUE, 0, 100) == 0x142);
    CHECK(search("needle", EL_SEARCH_KEY, 0, 100) == 0x101);
    CHECK(search("needle", EL_SEARCH_HEADERS, 0, 100) == 0x118);
    CHECK(search("needle", EL_SEARCH_KEY | EL_SEARCH_HEADERS, 0, 100) == 0x119);
    CHECK(search("needle", 7, 0, 100) == 0x15b);
    CHECK(search("absent", 7, 0, 100) == 0);
    CHECK(search("", EL_SEARCH_VALUE, 0, 100) == 0x1ef);
    CHECK(search("", EL_SEARCH_KEY, 0, 100) == 0x16f);
}

static void test_a_range_of_offsets(void) {
    CHECK(search("needle", 7, 1, 8) == 0x5a);
    CHECK(search("needle", 7, 4, 5) == 0x10);
    CHECK(search("needle", 7, 5, 6) == 0);
    CHECK(search("needle", 7, 3, 3) == 0);
}

/* The lengths and counts between the fields are bytes, too: each string of two bytes of the section that is no text in a field. */
static void test_a_hit_in_the_framing_is_none(void) {
    CHECK(search("\x0cneedle", 7, 0, 100) == 0);
    CHECK(search("needle\x0a", 7, 0, 100) == 0);
    CHECK(search("needle\x0cneedle", 7, 0, 100) == 0);
}

static void test_damaged_lengths_are_an_error_or_no_hit(void) {
    size_t size;
    uint8_t *data = encode(&size);
    el_batch batch;
    CHECK(el_batch_parse(data, size, &batch) == EL_CODEC_OK);
    el_reader *reader = el_reader_new(1);
    el_needle needle;
    el_needle_prepare(&needle, bytes_of("needle"), NULL, 6);
    for (size_t at = EL_BATCH_HEADER_BYTES; at < size; at++) {
        for (int value = 0; value < 256; value++) {
            uint8_t kept = data[at];
            data[at] = (uint8_t)value;
            el_reader_decode(reader, &batch, data + EL_BATCH_HEADER_BYTES, size - EL_BATCH_HEADER_BYTES);
            el_record record;
            int more, found = 0;
            while ((more = el_reader_search(reader, 100, &needle, 7, &record)) == 1)
                found++;
            int is_named = reader->codec_status == EL_CODEC_BAD_RECORD || reader->codec_status == EL_CODEC_BAD_OFFSET;
            CHECK(more == 0 || (more == -1 && is_named));
            CHECK(found <= SAMPLES + 1);
            data[at] = kept;
        }
    }
    el_reader_free(reader);
    free(data);
}

int main(void) {
    test_random_strings();
    test_fields_are_told_apart();
    test_a_range_of_offsets();
    test_a_hit_in_the_framing_is_none();
    test_damaged_lengths_are_an_error_or_no_hit();
    return DONE();
}
