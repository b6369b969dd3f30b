/* Waking threads that wait for something, in any process.
 *
 * What can be waited for is a number in a mapped page that only grows: the end offset of a partition, the committed offset
 * of a group. Beside the number is a watch, a mask of bells. A waiter sets the bit of its bell in the watch of everything
 * it waits for, checks the numbers once more, and sleeps on its bell. A thread that advances a number then reads the watch:
 * it takes the bits that are set, and rings these bells. So one sleep can wait for any number of conditions, and advancing
 * a number that nobody waits for costs a fence and a load.
 *
 * No thread owns a bell: threads take them in turn, and if two share one, both check again when it rings. So there is
 * nothing to clean up after a process that died.
 *
 *   byte    0  bell counter      the next thread's bell
 *          64  catalog           a version that grows with every change to topics, its watch, and the change announced last
 *        4096  bells             64 of them, a cache line each
 *
 * The page needs no initialisation and no trust: any content is as good as zeros. */

#ifndef EVENTLOG_STORE_SIGNALS_H
#define EVENTLOG_STORE_SIGNALS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "event_count.h"
#include "status.h"

#define EL_SIGNALS_BYTES 8192
#define EL_BELLS 64

typedef struct el_watch {
    _Atomic uint64_t bells;
} el_watch;

typedef struct el_bell {
    el_event_count rings;
    uint8_t pad[60];
} el_bell;

typedef struct el_signals {
    _Atomic uint32_t next_bell;
    uint8_t pad_counter[60];
    _Atomic int64_t catalog_version;
    el_watch catalog_watch;
    _Atomic int64_t catalog_announced;
    uint8_t pad_catalog[4008];
    el_bell bells[EL_BELLS];
} el_signals;

_Static_assert(offsetof(el_signals, catalog_version) == 64, "the catalog has a cache line of its own");
_Static_assert(offsetof(el_signals, bells) == 4096, "bells");
_Static_assert(sizeof(el_signals) == EL_SIGNALS_BYTES, "the signals are two pages");

/* A condition to wait for: ready once *value is past `known`. */
typedef struct el_awaited {
    const _Atomic int64_t *value;
    el_watch *watch;
    int64_t known;
} el_awaited;

/* A condition of one process alone, such as the end of a handle, that can be waited for together with the others. */
typedef struct el_flag {
    _Atomic int64_t raised; /* how often */
    el_watch watch;
} el_flag;

void el_flag_raise(el_flag *flag, el_signals *signals);
int64_t el_flag_raised(const el_flag *flag);
void el_flag_await(el_flag *flag, int64_t known, el_awaited *awaited);

/* Map the file behind `fd`. NULL with errno set on failure. */
el_signals *el_signals_map(int fd);
void el_signals_unmap(el_signals *signals);

/* The bell that the calling thread sleeps on. */
uint32_t el_signals_bell(el_signals *signals);

int64_t el_signals_catalog_version(const el_signals *signals);

/* Tell everybody that the catalog has changed, up to the transaction with this number. A process that dies in here, or before,
 * leaves the number of an earlier one: others notice that, and tell once more. */
void el_signals_catalog_changed(el_signals *signals, int64_t number);
int64_t el_signals_catalog_announced(const el_signals *signals);

void el_signals_await_catalog(el_signals *signals, int64_t known, el_awaited *awaited);

/* Wake all threads that watch. Call after the number was stored. `signals` may be NULL when nobody can be waiting. */
void el_watch_ring(el_watch *watch, el_signals *signals);

/* The first condition that is ready, from `start` on and then from the beginning; -1 if none is. */
int el_first_ready(const el_awaited *awaited, int count, int start);

/* If a process is killed between storing a number and ringing, the wake-up is lost. So a waiter checks again after a second at
 * the latest. */
#define EL_AWAIT_MS_MAX 1000

/* Sleep until one of them is ready. EL_DONE, EL_TIMED_OUT or EL_INTERRUPTED. EL_TIMED_OUT may come early, when the bell was
 * rung for another thread; timeout_ms should be at most EL_AWAIT_MS_MAX. */
int el_await_any(el_signals *signals, uint32_t bell, const el_awaited *awaited, int count, int64_t timeout_ms);

/* One thread may sleep for many sleepers, each of which waits for conditions of its own; a sleeper that comes or goes costs the
 * others nothing. The thread reads the bell, sets it in all watches and finds the sleepers that are due, and sleeps if there
 * are none. A sleeper that comes meanwhile sets the bell in its own watches, and checks its own conditions. */
typedef struct el_sleeper {
    const el_awaited *awaited;
    int32_t count; /* 0: not in use */
} el_sleeper;

uint32_t el_bell_read(const el_signals *signals, uint32_t bell);

/* Set the bell in the watches of all these sleepers. Stores the numbers of those that are due in `due`, and returns how many
 * there are, due_max at most. */
int32_t el_sleepers_due(const el_sleeper *sleepers, int32_t count, uint32_t bell, int32_t *due, int32_t due_max);

/* Sleep until the bell has been rung since it was read, or for the time given. */
void el_bell_await(el_signals *signals, uint32_t bell, uint32_t seen, int64_t timeout_ms);
void el_bell_ring(el_signals *signals, uint32_t bell);

/* Write to an eventfd whenever the bell has been rung, and at least every EL_AWAIT_MS_MAX, until the flag is raised. */
void el_bell_forward(el_signals *signals, uint32_t bell, int event, const el_flag *is_over);

#endif
