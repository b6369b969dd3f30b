/* The records of a batch that was made elsewhere, such as by a producer that speaks Kafka's protocol: may they stand in a log as they are?
 *
 * Source of the rules: Kafka's LogValidator. */

#ifndef EVENTLOG_CODEC_PRODUCED_H
#define EVENTLOG_CODEC_PRODUCED_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"

/* What can be wrong, besides an el_codec_status. */
#define EL_PRODUCED_NO_KEY 100        /* and the topic is compacted */
#define EL_PRODUCED_BAD_TIMESTAMP 101 /* below -1, which means none, or above 2^63 - 1 */

typedef struct el_produced {
    int64_t max_timestamp; /* of the records */
    int32_t record_number; /* of the record that is wrong, counted from 0 */
} el_produced;

/* Verify every record of an uncompressed section, as el_batch_verify_records does, and besides its timestamp and, where keys are needed,
 * its key. EL_CODEC_OK, or what is wrong with which record. */
int el_produced_verify(const uint8_t *records, size_t length, const el_batch *batch, int needs_keys, el_produced *produced);

#endif
