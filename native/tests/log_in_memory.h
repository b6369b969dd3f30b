/* The files of a partition in memory, and appenders to it, as processes have them. */

#ifndef EVENTLOG_TESTS_LOG_IN_MEMORY_H
#define EVENTLOG_TESTS_LOG_IN_MEMORY_H

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../store/appender.h"
#include "check.h"

#define LOCK_TIMEOUT_MS 10000
#define SEGMENT_BYTES (1 << 24)

typedef struct log_in_memory {
    el_head *head;
    el_signals *signals;
    int files[3]; /* log, index, time index */
} log_in_memory;

static int new_file(const char *name, size_t bytes) {
    int fd = memfd_create(name, 0);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    return fd;
}

static el_signals *new_signals(void) {
    int fd = new_file("signals", EL_SIGNALS_BYTES);
    el_signals *signals = el_signals_map(fd);
    CHECK(signals != NULL);
    close(fd);
    return signals;
}

static log_in_memory new_log(el_signals *signals) {
    log_in_memory log = {.signals = signals, .files = {new_file("log", 0), new_file("index", 0), new_file("time index", 0)}};
    int fd = new_file("head", EL_HEAD_BYTES);
    log.head = el_head_map(fd);
    CHECK(log.head != NULL);
    close(fd);
    el_tail tail = {.max_timestamp = -1, .max_timestamp_offset = -1, .indexed_timestamp = -1, .first_timestamp = -1,
                    .first_unstable = -1, .producers_offset = -1, .marker_end = -1};
    el_limits limits = {.segment_bytes = SEGMENT_BYTES, .segment_ms = INT64_MAX, .index_interval_bytes = 4096};
    el_head_initialise(log.head, (const uint8_t *)"this very boot 1", 1, 2, &tail, &limits, 0, 0, 0, 0);
    return log;
}

static el_appender *attach(const log_in_memory *log, int flush_always) {
    el_appender *appender = el_appender_new(log->head, log->signals, LOCK_TIMEOUT_MS, flush_always);
    CHECK(appender != NULL);
    appender->encoding.batch_bytes_max = 1 << 20;
    CHECK(el_appender_attach(appender, 0, dup(log->files[0]), dup(log->files[1]), dup(log->files[2])) == EL_DONE);
    return appender;
}

#endif
