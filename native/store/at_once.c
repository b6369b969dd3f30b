#include "at_once.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

static int64_t append(el_appender *appender, uint8_t *batches, size_t length, const el_produced_rules *rules, uint32_t settings_version,
                      el_produced *produced, el_sequencing *sequencing) {
    *produced = (el_produced){.append_time_ms = rules->has_append_time ? el_now_ms() : -1};
    int status = el_produced_accept(batches, length, rules, produced);
    if (status != EL_CODEC_OK)
        return status == EL_PRODUCED_OTHER_CODEC ? EL_LOCK_TIMEOUT : EL_NOT_ACCEPTED;
    int64_t offset = el_append_produced(appender, batches, length, settings_version, 0, sequencing);
    if (sequencing->is_duplicate)
        produced->append_time_ms = -1;
    return offset;
}

int64_t el_append_produced_at_once(el_appender *appender, const uint8_t *batches, size_t length, const el_produced_rules *rules,
                                   uint32_t settings_version, el_produced *produced, el_sequencing *sequencing) {
    if (el_head_settings_version(appender->head) != settings_version)
        return EL_SETTINGS_CHANGED; /* rules that hold no longer refuse nothing */
    uint8_t *copy = malloc(length + !length);
    if (copy == NULL)
        return EL_NO_MEMORY;
    memcpy(copy, batches, length);
    int64_t offset = append(appender, copy, length, rules, settings_version, produced, sequencing);
    free(copy);
    return offset;
}
