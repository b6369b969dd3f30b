#define _GNU_SOURCE
#include "event_count.h"

#include <errno.h>

#include "fault.h"
#include "futex.h"

#define ASLEEP UINT32_C(1)

uint32_t el_event_count_read(const el_event_count *events) {
    return atomic_load(&events->word);
}

int el_event_count_has_advanced(const el_event_count *events, uint32_t seen) {
    return (atomic_load(&events->word) | ASLEEP) != (seen | ASLEEP);
}

int el_event_count_await(el_event_count *events, uint32_t seen, int64_t nanoseconds) {
    uint32_t expected = seen & ~ASLEEP;
    atomic_compare_exchange_strong(&events->word, &expected, seen | ASLEEP); /* if it was advanced, the kernel refuses to sleep */
    EL_FAULT_POINT("events.asleep");
    int error_number = el_futex_wait(&events->word, seen | ASLEEP, nanoseconds);
    return error_number == EAGAIN ? 0 : error_number;
}

long el_event_count_advance(el_event_count *events) {
    uint32_t before = atomic_load(&events->word);
    while (!atomic_compare_exchange_weak(&events->word, &before, (before | ASLEEP) + 1))
        ;
    EL_FAULT_POINT("events.advanced");
    return before & ASLEEP ? el_futex_wake_all(&events->word) : 0;
}
