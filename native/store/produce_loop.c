#include "produce_loop.h"

#include <string.h>

#include "../codec/big_endian.h"

#define LENGTH_BYTES 4
#define ALL_REPLICAS (-1)
#define LEADER 1

int32_t el_produce_slot_of(const uint8_t *topic, size_t length, int32_t partition) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint32_t)partition; /* FNV-1a */
    for (size_t at = 0; at < length; at++)
        hash = (hash ^ topic[at]) * UINT64_C(0x100000001b3);
    return (int32_t)((hash ^ hash >> 32) & (EL_PRODUCE_SLOTS - 1));
}

static el_produce_slot *find_slot(el_produce_loop *loop, const el_produce_request *request, const uint8_t *topic) {
    el_produce_slot *slot = &loop->slots[el_produce_slot_of(topic, (size_t)request->topic_length, request->partition)];
    int is_it = slot->appender != NULL && slot->partition == request->partition && slot->has_topic_id == request->has_topic_id &&
                slot->topic_length == request->topic_length && memcmp(slot->topic, topic, (size_t)request->topic_length) == 0;
    return is_it ? slot : NULL;
}

static void note_append(el_produce_loop *loop, el_produce_slot *slot) {
    if (!slot->is_appended)
        loop->appended[loop->appended_count++] = (int32_t)(slot - loop->slots);
    slot->is_appended = 1;
}

/* Append the batch; a negative number if the caller has to do it. A topic that gives batches the time of the append is left to it: a
 * second attempt, under other settings, would refuse a batch that has that time already. */
static int64_t append(const el_produce_slot *slot, uint8_t *batch, size_t length, el_produced *produced) {
    el_sequencing sequencing;
    *produced = (el_produced){.append_time_ms = -1};
    if (slot->rules.has_append_time || el_head_settings_version(slot->appender->head) != slot->settings_version ||
        el_produced_accept(batch, length, &slot->rules, produced) != EL_CODEC_OK)
        return -1;
    return el_append_produced(slot->appender, batch, length, slot->settings_version, 0, &sequencing);
}

/* Answer one request; 0 if it is not one for this function. */
static int answer(el_produce_loop *loop, uint8_t *frame, size_t length, uint8_t *answers, size_t capacity) {
    el_produce_request request;
    el_produced produced;
    if (!el_produce_request_read(frame, length, &request) || request.is_transactional || request.batch_length > EL_PRODUCE_BATCH_BYTES_MAX ||
        (request.acks != ALL_REPLICAS && request.acks != LEADER && request.acks != 0) ||
        EL_PRODUCE_ANSWER_BYTES + (size_t)request.topic_length > capacity)
        return 0;
    const uint8_t *topic = frame + request.topic_at;
    el_produce_slot *slot = find_slot(loop, &request, topic);
    int64_t offset = slot == NULL ? -1 : append(slot, frame + request.batch_at, (size_t)request.batch_length, &produced);
    if (offset < 0)
        return 0;
    note_append(loop, slot);
    if (request.acks != 0) {
        int64_t start_offset = el_head_start_offset(slot->appender->head);
        loop->answer_bytes += el_produce_answer_write(&request, topic, offset, -1, start_offset, answers);
    }
    return 1;
}

void el_produce_answer_all(el_produce_loop *loop, uint8_t *data, size_t length, size_t request_bytes_max, uint8_t *answers,
                           size_t capacity) {
    while (loop->appended_count > 0)
        loop->slots[loop->appended[--loop->appended_count]].is_appended = 0;
    loop->request_count = 0;
    loop->consumed = loop->answer_bytes = 0;
    while (length - loop->consumed > LENGTH_BYTES) {
        uint8_t *at = data + loop->consumed;
        uint32_t size = el_load_32(at);
        if (size > length - loop->consumed - LENGTH_BYTES || size > request_bytes_max ||
            !answer(loop, at + LENGTH_BYTES, size, answers + loop->answer_bytes, capacity - loop->answer_bytes))
            return;
        loop->request_count++;
        loop->consumed += LENGTH_BYTES + size;
    }
}
