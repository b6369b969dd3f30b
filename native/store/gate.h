/* A gate that lets in one thread of all processes: a mutex in a mapped file of its own, for what has no better lock.
 *
 * The kernel opens it again when the thread inside dies. Nothing in the page outlives its users: the first process that maps the file
 * (SharedFile in eventlog/storage/mapped/file.py finds out which) initialises it again. */

#ifndef EVENTLOG_STORE_GATE_H
#define EVENTLOG_STORE_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "status.h"

#define EL_GATE_BYTES 4096
#define EL_GATE_MAGIC UINT64_C(0x3145544147564c45) /* "ELVGATE1" in memory order */

typedef struct el_gate {
    _Atomic uint64_t magic; /* 0 while the page is being initialised */
    _Atomic int32_t holder; /* process id, for error messages */
    int32_t reserved;
    pthread_mutex_t mutex;
} el_gate;

_Static_assert(sizeof(el_gate) <= EL_GATE_BYTES, "a gate is one page");

/* Map the file behind `fd` (EL_GATE_BYTES long). NULL with errno set on failure. */
el_gate *el_gate_map(int fd);
void el_gate_unmap(el_gate *gate);

/* Initialise the page. No other process has it mapped. */
void el_gate_initialise(el_gate *gate);
int el_gate_is_ready(const el_gate *gate);

/* EL_DONE, or EL_LOCK_TIMEOUT or EL_HELD_ALREADY: *holder is then the process inside, -1 if it is not known. *holder is 0 once the
 * gate is entered, so that a caller that is interrupted can tell. Leave in the same thread. */
int el_gate_enter(el_gate *gate, int64_t timeout_ms, int32_t *holder);
void el_gate_leave(el_gate *gate);

/* Leave if *holder is 0, which means that the gate was entered; then it is no longer 0. */
void el_gate_release(el_gate *gate, int32_t *holder);

#endif
