/* Event counts: numbers in shared memory that are advanced, and on which threads of any process sleep until they are.
 *
 * The lowest bit of the word says that a thread sleeps. A sleeper sets it, and an advance clears it together with the number, in one
 * step. If the bit had a word of its own, an advance could clear the bit of a sleeper that has already read the new number: that
 * thread would sleep, and the next advance would not wake it.
 *
 * Source: Reed and Kanodia, "Synchronization with Eventcounts and Sequencers" (1979). Any content is as good as zeros. */

#ifndef EVENTLOG_STORE_EVENT_COUNT_H
#define EVENTLOG_STORE_EVENT_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct el_event_count {
    _Atomic uint32_t word; /* the futex */
} el_event_count;

/* Read it before checking whether there is a reason to sleep. */
uint32_t el_event_count_read(const el_event_count *events);

/* Has it been advanced since it was read? */
int el_event_count_has_advanced(const el_event_count *events, uint32_t seen);

/* Sleep until it has been advanced since `seen` was read. 0 if it has been; else ETIMEDOUT or EINTR. */
int el_event_count_await(el_event_count *events, uint32_t seen, int64_t nanoseconds);

/* Advance it, and wake all sleepers. Returns how many were woken. */
long el_event_count_advance(el_event_count *events);

#endif
