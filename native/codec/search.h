/* Searching records for a string of bytes. Bytes that match in the framing, across two records or across two fields do not count.
 *
 * The search tests two bytes of the string that are rare in text, at sixteen positions at once, and compares the string where both fit.
 * That is the "generic SIMD" algorithm of Wojciech Mula (http://0x80.pl/articles/simd-strfind.html), with a choice of the bytes. */

#ifndef EVENTLOG_CODEC_SEARCH_H
#define EVENTLOG_CODEC_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"

#define EL_SEARCH_KEY 1
#define EL_SEARCH_VALUE 2
#define EL_SEARCH_HEADERS 4 /* their names and their values */

/* What is searched for. The bytes remain the caller's. */
typedef struct el_needle {
    const uint8_t *bytes; /* in lower case where masks say that case is ignored */
    const uint8_t *masks; /* NULL, or for each byte: 0x20 for a letter in any case, 0 for exactly this byte */
    size_t length;
    size_t rare;  /* the positions of the two bytes in it that are rarest in text */
    size_t rarer;
} el_needle;

void el_needle_prepare(el_needle *needle, const uint8_t *bytes, const uint8_t *masks, size_t length);

/* The first occurrence, or NULL. A needle of no bytes is found everywhere. */
const uint8_t *el_needle_find(const el_needle *needle, const uint8_t *data, size_t length);

/* Is it in one of these fields (EL_SEARCH_..., added up)? A field that is null holds nothing. A malformed header ends the headers. */
int el_record_holds(const el_record *record, const el_needle *needle, unsigned fields);

#endif
