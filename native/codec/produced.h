/* Batches that were made elsewhere, such as by a producer that speaks Kafka's protocol: may they stand in a log as they are?
 *
 * Source of the rules: Kafka's LogValidator. */

#ifndef EVENTLOG_CODEC_PRODUCED_H
#define EVENTLOG_CODEC_PRODUCED_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"

/* What can be wrong, besides an el_codec_status: with a record, */
#define EL_PRODUCED_NO_KEY 100        /* and the topic is compacted */
#define EL_PRODUCED_BAD_TIMESTAMP 101 /* below -1, which means none, or above 2^63 - 1 */
#define EL_PRODUCED_BAD_RECORD 102    /* its lengths contradict each other */
#define EL_PRODUCED_BAD_DELTA 103     /* its offset does not come after the one before, or lies outside the batch */
/* or with the batch. */
#define EL_PRODUCED_TOO_LARGE 110
#define EL_PRODUCED_EMPTY 111
#define EL_PRODUCED_BAD_COUNT 112 /* other than the number of its offsets */
#define EL_PRODUCED_BAD_ATTRIBUTES 113
#define EL_PRODUCED_CONTROL 114
#define EL_PRODUCED_TRANSACTIONAL 115
#define EL_PRODUCED_BAD_TIMESTAMP_TYPE 116
#define EL_PRODUCED_BAD_PRODUCER 117
#define EL_PRODUCED_EXCESS 118 /* more bytes than its records take */
/* Not an error: the caller has to decompress or to compress it. */
#define EL_PRODUCED_OTHER_CODEC 120

/* What a topic accepts. */
typedef struct el_produced_rules {
    int64_t batch_bytes_max;
    int16_t needs_keys;
    int16_t has_append_time;
    int16_t codec; /* that batches have in the log; -1: the one that their producer has chosen */
} el_produced_rules;

/* How far a run of batches has been accepted. Begin with zeros and the time. */
typedef struct el_produced {
    int64_t append_time_ms; /* for has_append_time */
    int64_t position;       /* of the batch that has not been accepted */
    int64_t record_count;   /* of the batches before it */
    int32_t record_number;  /* of the record that is wrong, counted from 0 */
    el_batch batch;         /* the header of the last batch that was looked at */
} el_produced;

/* Accept batch after batch, from produced->position on. EL_CODEC_OK at the end of the bytes, or why the batch there is not accepted.
 * Their base offsets are cleared; those with another time or another largest timestamp than they say get it, and a new checksum. */
int el_produced_accept(uint8_t *batches, size_t length, const el_produced_rules *rules, el_produced *produced);

/* Go on after EL_PRODUCED_OTHER_CODEC: accept that batch, whose `records` have been decompressed. */
int el_produced_accept_records(uint8_t *batches, const uint8_t *records, size_t length, const el_produced_rules *rules,
                               el_produced *produced);

/* The numbers of the records without a key, counted from 0, of at most `capacity` of them. Returns how many were written. */
size_t el_produced_list_keyless(const uint8_t *records, size_t length, int32_t *numbers, size_t capacity);

#endif
