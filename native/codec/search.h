/* Looking for a string of bytes, and in which records it stands. A hit in the framing, across two records or across two fields
 * is none.
 *
 * The search looks at two bytes of the string that are seldom in text, sixteen places at once, and compares where both fit. That is
 * the "generic SIMD" algorithm of Wojciech Mula (http://0x80.pl/articles/simd-strfind.html), with the bytes chosen. */

#ifndef EVENTLOG_CODEC_SEARCH_H
#define EVENTLOG_CODEC_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"

#define EL_SEARCH_KEY 1
#define EL_SEARCH_VALUE 2
#define EL_SEARCH_HEADERS 4 /* their names and their values */

/* What is looked for. The bytes stay the caller's. */
typedef struct el_needle {
    const uint8_t *bytes; /* in lower case where masks say that case is ignored */
    const uint8_t *masks; /* NULL, or for each byte: 0x20 for a letter in any case, 0 for exactly this byte */
    size_t length;
    size_t rare;  /* the places of two bytes in it that are seldom elsewhere */
    size_t rarer;
} el_needle;

void el_needle_prepare(el_needle *needle, const uint8_t *bytes, const uint8_t *masks, size_t length);

/* The first place where it stands, or NULL. A needle of no bytes stands everywhere. */
const uint8_t *el_needle_find(const el_needle *needle, const uint8_t *data, size_t length);

/* Does it stand in one of these fields (EL_SEARCH_..., added up)? In a field that is null nothing stands. A header that is
 * malformed ends the headers. */
int el_record_holds(const el_record *record, const el_needle *needle, unsigned fields);

#endif
