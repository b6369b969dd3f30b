/* Event counts: numbers in shared memory that are advanced, and on which processes sleep until they are.
 *
 * The lowest bit of the word says that somebody sleeps. A sleeper sets it, and an advance clears it, in one step with the number. Beside
 * the number in a word of its own an advance that is under way could clear what one has set who knows the new number already: then he
 * would sleep, and the next advance would wake nobody.
 *
 * Source: Reed and Kanodia, "Synchronization with Eventcounts and Sequencers" (1979). Any content is as good as zeros. */

#ifndef EVENTLOG_STORE_EVENT_COUNT_H
#define EVENTLOG_STORE_EVENT_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct el_event_count {
    _Atomic uint32_t word; /* the futex */
} el_event_count;

/* To be read before one looks whether there is anything to sleep for. */
uint32_t el_event_count_read(const el_event_count *events);

/* Has it been advanced since it was read? */
int el_event_count_has_advanced(const el_event_count *events, uint32_t seen);

/* Sleep until it is advanced from `seen` on. 0 if it was, or has been before; else ETIMEDOUT or EINTR. */
int el_event_count_await(el_event_count *events, uint32_t seen, int64_t nanoseconds);

/* Wake all who sleep; how many they are. */
long el_event_count_advance(el_event_count *events);

#endif
