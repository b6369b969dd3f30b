#define _GNU_SOURCE
#include "gate.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../codec/assertions.h"
#include "fault.h"
#include "mutex.h"

el_gate *el_gate_map(int fd) {
    void *page = mmap(NULL, EL_GATE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

void el_gate_unmap(el_gate *gate) {
    munmap(gate, EL_GATE_BYTES);
}

void el_gate_initialise(el_gate *gate) {
    atomic_store(&gate->magic, 0);
    gate->holder = 0;
    el_mutex_initialise(&gate->mutex, PTHREAD_MUTEX_ERRORCHECK);
    atomic_store(&gate->magic, EL_GATE_MAGIC);
}

int el_gate_is_ready(const el_gate *gate) {
    return atomic_load(&gate->magic) == EL_GATE_MAGIC;
}

int el_gate_enter(el_gate *gate, int64_t timeout_ms, int32_t *holder) {
    int result = el_mutex_lock(&gate->mutex, timeout_ms);
    if (result == EOWNERDEAD) {
        pthread_mutex_consistent(&gate->mutex); /* the gate has no state of its own that could be half done */
        result = 0;
    }
    if (result != 0) {
        int32_t process = atomic_load(&gate->holder);
        *holder = process != 0 ? process : -1;
        return result == EDEADLK ? EL_HELD_ALREADY : EL_LOCK_TIMEOUT;
    }
    *holder = 0;
    atomic_store(&gate->holder, getpid());
    EL_FAULT_POINT("gate.entered");
    return EL_DONE;
}

void el_gate_leave(el_gate *gate) {
    EL_ASSERT(el_mutex_is_own(&gate->mutex));
    atomic_store(&gate->holder, 0);
    pthread_mutex_unlock(&gate->mutex);
    EL_FAULT_POINT("gate.left");
}

void el_gate_release(el_gate *gate, int32_t *holder) {
    if (*holder != 0)
        return;
    *holder = -1;
    el_gate_leave(gate);
}
