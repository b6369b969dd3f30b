/* Produce requests that have arrived together, each for one batch, answered one after the other in one call.
 *
 * A table has the partitions that the server has used last: what a request names is found there, appended where nothing has to be waited
 * for, and answered. The first request that needs anything else ends the call; then the caller answers it. */

#ifndef EVENTLOG_STORE_PRODUCE_LOOP_H
#define EVENTLOG_STORE_PRODUCE_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "../codec/produce_request.h"
#include "../codec/produced.h"
#include "appender.h"

#define EL_PRODUCE_SLOTS 256 /* a power of two */
#define EL_PRODUCE_BATCH_BYTES_MAX (256 * 1024) /* larger ones would keep other connections waiting */

/* A partition. The caller keeps what the pointers point to. */
typedef struct el_produce_slot {
    el_appender *appender; /* NULL: the slot is free */
    const uint8_t *topic;  /* its name, or its id */
    int32_t topic_length;
    int32_t partition;
    int32_t has_topic_id;
    uint32_t settings_version;
    el_produced_rules rules;
    int32_t is_appended; /* in this call */
} el_produce_slot;

typedef struct el_produce_loop {
    el_produce_slot slots[EL_PRODUCE_SLOTS];
    int32_t appended[EL_PRODUCE_SLOTS]; /* the slots in which the last call has appended */
    int32_t appended_count;
    int32_t request_count; /* that the last call has answered */
    size_t consumed;       /* their bytes, with lengths */
    size_t answer_bytes;   /* of the answers; a request with acks=0 has none */
} el_produce_loop;

/* The only slot that a partition of a topic can have. */
int32_t el_produce_slot_of(const uint8_t *topic, size_t length, int32_t partition);

/* Answer the requests at the start of `data`, none of which may be larger than `request_bytes_max`, as far as their answers fit. The bytes
 * of batches are changed where they are; of one that is not appended, only fields that the log decides on. */
void el_produce_answer_all(el_produce_loop *loop, uint8_t *data, size_t length, size_t request_bytes_max, uint8_t *answers,
                           size_t capacity);

#endif
