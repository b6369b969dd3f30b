/* A Produce request for one batch, as most producers send it, and the answer once the batch was appended.
 *
 * Source of the format: ProduceRequest.json and ProduceResponse.json of Kafka, versions 3 to 13. */

#ifndef EVENTLOG_CODEC_PRODUCE_REQUEST_H
#define EVENTLOG_CODEC_PRODUCE_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#define EL_TOPIC_ID_BYTES 16
#define EL_PRODUCE_ANSWER_BYTES 96 /* the answer takes at most so many, and the topic */

typedef struct el_produce_request {
    int32_t correlation_id;
    int32_t partition;
    int32_t topic_at; /* where in the frame the topic's name is, or from version 13 on its id */
    int32_t topic_length;
    int32_t batch_at;
    int32_t batch_length;
    int16_t version;
    int16_t acks;
    int16_t has_topic_id;
    int16_t is_transactional; /* the batch belongs to a transaction: one of the producer with this id */
    int32_t transactional_id_at;
    int32_t transactional_id_length; /* -1: the request names none */
    int64_t producer_id;
    int16_t producer_epoch;
} el_produce_request;

/* Read a frame without its length. 0 if it is anything else: another request, one for several batches or for one that is compressed, with
 * fields that are not known, or not well formed. */
int el_produce_request_read(const uint8_t *frame, size_t length, el_produce_request *request);

/* Write the frame of the answer, and return its length. */
size_t el_produce_answer_write(const el_produce_request *request, const uint8_t *topic, int64_t base_offset, int64_t append_time_ms,
                               int64_t log_start_offset, uint8_t *out);

#endif
