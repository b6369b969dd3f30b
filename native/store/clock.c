#include "clock.h"

_Atomic int64_t el_stopped_now_ms = -1;
_Atomic int64_t el_stopped_lease_ms = -1;

void el_clock_stop(int64_t now_ms, int64_t lease_ms) {
    atomic_store(&el_stopped_now_ms, now_ms);
    atomic_store(&el_stopped_lease_ms, lease_ms);
}
