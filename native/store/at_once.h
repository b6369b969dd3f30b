/* Appending a batch that was made elsewhere where nothing has to be waited for, in one call. */

#ifndef EVENTLOG_STORE_AT_ONCE_H
#define EVENTLOG_STORE_AT_ONCE_H

#include "../codec/produced.h"
#include "appender.h"

/* Check a copy of batches, which no other thread can write to, and append it. Returns the first offset; EL_NOT_ACCEPTED if they may not
 * stand in the log; EL_LOCK_TIMEOUT if something has to be waited for, or they have to be compressed or decompressed; or another status of
 * el_append_produced. `produced` gets the number of records, and the time that they were given; -1: each keeps its own. */
int64_t el_append_produced_at_once(el_appender *appender, const uint8_t *batches, size_t length, const el_produced_rules *rules,
                                   uint32_t settings_version, el_produced *produced, el_sequencing *sequencing);

#endif
