#include "produce_request.h"

#include <string.h>

#include "batch.h"
#include "big_endian.h"

#define PRODUCE 0
#define VERSION_MIN 3
#define WITH_START_OFFSET 5
#define WITH_RECORD_ERRORS 8
#define COMPACT 9 /* lengths are varints, and structures end in tagged fields */
#define WITH_TOPIC_ID 13
#define VERSION_MAX 13

/* The bytes that are left of a frame. */
typedef struct input {
    const uint8_t *at;
    const uint8_t *end;
    int is_short; /* more was taken than there was */
} input;

/* The next bytes; of numbers that are not there, zeros. */
static const uint8_t *take(input *from, int64_t count) {
    static const uint8_t ZEROS[sizeof(int64_t)];
    const uint8_t *taken = from->at;
    from->is_short |= count < 0 || count > from->end - taken;
    if (from->is_short)
        return ZEROS;
    from->at += count;
    return taken;
}

static int16_t take_16(input *from) {
    return (int16_t)el_load_16(take(from, 2));
}

static int32_t take_32(input *from) {
    return (int32_t)el_load_32(take(from, 4));
}

/* A length or a count in compact form: one more than it is, so that -1, a null, is 0. */
static int64_t take_compact(input *from) {
    uint64_t bits = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        uint8_t byte = *take(from, 1);
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return (int64_t)bits - 1;
    }
    from->is_short = 1;
    return -1;
}

static int64_t take_string_length(input *from, int version) {
    return version >= COMPACT ? take_compact(from) : take_16(from);
}

static int64_t take_count(input *from, int version) {
    return version >= COMPACT ? take_compact(from) : take_32(from);
}

/* Are there no tagged fields at the end of a structure? */
static int take_no_tags(input *from, int version) {
    return version < COMPACT || *take(from, 1) == 0;
}

static int read_header(input *from, el_produce_request *request) {
    int key = take_16(from);
    request->version = take_16(from);
    request->correlation_id = take_32(from);
    if (key != PRODUCE || request->version < VERSION_MIN || request->version > VERSION_MAX)
        return 0;
    int client_id_length = take_16(from);
    take(from, client_id_length < 0 ? 0 : client_id_length);
    return take_no_tags(from, request->version);
}

/* Is it one batch, with records that are not compressed? The rest is checked when it is appended. */
static int read_batch(const uint8_t *batch, int64_t length, el_produce_request *request) {
    const uint16_t others = EL_ATTRIBUTE_COMPRESSION | EL_ATTRIBUTE_CONTROL;
    el_batch header;
    el_batch_parse(batch, (size_t)length, &header);
    request->is_transactional = (header.attributes & EL_ATTRIBUTE_TRANSACTIONAL) != 0;
    request->producer_id = header.producer_id;
    request->producer_epoch = header.producer_epoch;
    return length > 0 && header.size_bytes == length && (header.attributes & others) == 0;
}

int el_produce_request_read(const uint8_t *frame, size_t length, el_produce_request *request) {
    input from = {.at = frame, .end = frame + length};
    if (length > INT32_MAX || !read_header(&from, request))
        return 0;
    int version = request->version;
    int64_t id_length = take_string_length(&from, version);
    request->transactional_id_at = (int32_t)(take(&from, id_length < 0 ? 0 : id_length) - frame);
    if (from.is_short)
        return 0;
    request->transactional_id_length = (int32_t)id_length;
    request->acks = take_16(&from);
    take_32(&from); /* how long other brokers may take */
    if (take_count(&from, version) != 1)
        return 0;
    request->has_topic_id = version >= WITH_TOPIC_ID;
    request->topic_length = (int32_t)(request->has_topic_id ? EL_TOPIC_ID_BYTES : take_string_length(&from, version));
    request->topic_at = (int32_t)(take(&from, request->topic_length) - frame);
    if (from.is_short || take_count(&from, version) != 1)
        return 0;
    request->partition = take_32(&from);
    int64_t batch_length = take_count(&from, version);
    const uint8_t *batch = take(&from, batch_length);
    if (from.is_short || !read_batch(batch, batch_length, request))
        return 0;
    request->batch_at = (int32_t)(batch - frame);
    request->batch_length = (int32_t)batch_length;
    for (int structure = 0; structure < 3; structure++) /* of the partition, the topic, the request */
        if (!take_no_tags(&from, version))
            return 0;
    return !from.is_short && from.at == from.end;
}

static uint8_t *put_16(uint8_t *out, int value) {
    el_store_16(out, (uint16_t)value);
    return out + 2;
}

static uint8_t *put_32(uint8_t *out, int32_t value) {
    el_store_32(out, (uint32_t)value);
    return out + 4;
}

static uint8_t *put_64(uint8_t *out, int64_t value) {
    el_store_64(out, (uint64_t)value);
    return out + 8;
}

/* The count of an array, which is small. */
static uint8_t *put_count(uint8_t *out, int version, int count) {
    if (version < COMPACT)
        return put_32(out, count);
    *out = (uint8_t)(count + 1);
    return out + 1;
}

static uint8_t *put_no_tags(uint8_t *out, int version) {
    if (version >= COMPACT)
        *out++ = 0;
    return out;
}

static uint8_t *put_topic(uint8_t *out, const el_produce_request *request, const uint8_t *topic) {
    uint32_t length = (uint32_t)request->topic_length;
    if (request->version < COMPACT) {
        out = put_16(out, (int)length);
    } else if (!request->has_topic_id) {
        uint32_t bits = length + 1;
        for (; bits >= 0x80; bits >>= 7)
            *out++ = (uint8_t)(bits | 0x80);
        *out++ = (uint8_t)bits;
    }
    memcpy(out, topic, length);
    return out + length;
}

size_t el_produce_answer_write(const el_produce_request *request, const uint8_t *topic, int64_t base_offset, int64_t append_time_ms,
                               int64_t log_start_offset, uint8_t *out) {
    int version = request->version;
    uint8_t *at = put_no_tags(put_32(out + 4, request->correlation_id), version);
    at = put_topic(put_count(at, version, 1), request, topic);
    at = put_32(put_count(at, version, 1), request->partition);
    at = put_16(at, 0); /* no error */
    at = put_64(put_64(at, base_offset), append_time_ms);
    if (version >= WITH_START_OFFSET)
        at = put_64(at, log_start_offset);
    if (version >= WITH_RECORD_ERRORS) {
        at = put_count(at, version, 0);
        at = version >= COMPACT ? put_count(at, version, -1) : put_16(at, -1); /* no message */
    }
    at = put_no_tags(put_no_tags(at, version), version); /* of the partition, the topic */
    at = put_no_tags(put_32(at, 0), version);            /* not throttled */
    put_32(out, (int32_t)(at - out - 4));
    return (size_t)(at - out);
}
