/* Frames as any client may send them: what is taken for a request lies inside the frame, and can be answered. */

#include "../codec/produce_request.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *frame = exact_copy(data, size);
    el_produce_request request;
    if (el_produce_request_read(frame, size, &request)) {
        CLAIM(request.topic_at > 0 && request.topic_length >= 0 && request.topic_at + request.topic_length < request.batch_at);
        CLAIM(request.batch_length >= EL_BATCH_HEADER_BYTES && (size_t)request.batch_at + (size_t)request.batch_length <= size);
        int64_t id_end = (int64_t)request.transactional_id_at + (request.transactional_id_length < 0 ? 0 : request.transactional_id_length);
        CLAIM(request.transactional_id_at > 0 && id_end < request.topic_at);
        size_t room = EL_PRODUCE_ANSWER_BYTES + (size_t)request.topic_length;
        uint8_t *answer = malloc(room);
        CLAIM(answer != NULL && el_produce_answer_write(&request, frame + request.topic_at, -1, -1, -1, answer) <= room);
        free(answer);
    }
    free(frame);
    return 0;
}
