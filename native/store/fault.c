#define _GNU_SOURCE
#include "fault.h"

#ifdef EVENTLOG_FAULT_POINTS

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_BYTES_MAX 64

static pthread_once_t is_read = PTHREAD_ONCE_INIT;
static int report_fd = -1;
static char fatal_name[NAME_BYTES_MAX];
static long fatal_pass;
static int fatal_signal;

static void read_environment(void) {
    const char *report = getenv("EVENTLOG_FAULT_REPORT");
    if (report != NULL)
        report_fd = open(report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const char *fault = getenv("EVENTLOG_FAULT");
    char action[8];
    if (fault == NULL)
        return;
    if (sscanf(fault, "%63[^:]:%ld:%7s", fatal_name, &fatal_pass, action) != 3)
        abort();
    fatal_signal = strcmp(action, "stop") == 0 ? SIGSTOP : SIGKILL;
}

static void report(const char *event, const char *name) {
    char line[NAME_BYTES_MAX + 16];
    int length = snprintf(line, sizeof line, "%s %s\n", event, name);
    if (report_fd >= 0 && write(report_fd, line, (size_t)length) != length)
        abort();
}

/* The signal goes to this very thread, so that it takes effect before another instruction of it. */
void el_fault_pass(el_fault_point *point) {
    pthread_once(&is_read, read_environment);
    long pass = atomic_fetch_add(&point->passes, 1) + 1;
    if (pass == 1)
        report("passed", point->name);
    if (pass != fatal_pass || strcmp(point->name, fatal_name) != 0)
        return;
    report(fatal_signal == SIGSTOP ? "stopped" : "killed", point->name);
    syscall(SYS_tgkill, getpid(), gettid(), fatal_signal);
}

#endif
