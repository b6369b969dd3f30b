/* Fault points: points between two steps at which a test lets the process die or stop.
 *
 * They are compiled in only with EVENTLOG_FAULT_POINTS (see build.py); without it a point is no code at all. Compiled in,
 * points obey two environment variables, which are read at the first point that the process passes:
 *
 *   EVENTLOG_FAULT         "append.written:3:kill", or ":stop": get SIGKILL, or SIGSTOP, at the third pass of that point
 *   EVENTLOG_FAULT_REPORT  a file that gets a line for the first pass of each point, and one for the signal
 *
 * Names are unique: section, dot, what was done last. */

#ifndef EVENTLOG_STORE_FAULT_H
#define EVENTLOG_STORE_FAULT_H

#ifdef EVENTLOG_FAULT_POINTS

#include <stdatomic.h>

typedef struct el_fault_point {
    const char *name;
    _Atomic long passes;
} el_fault_point;

void el_fault_pass(el_fault_point *point);

#define EL_FAULT_POINT(name_of_point)                             \
    do {                                                          \
        static el_fault_point point = {.name = (name_of_point)}; \
        el_fault_pass(&point);                                    \
    } while (0)

#else

#define EL_FAULT_POINT(name_of_point) ((void)0)

#endif

#endif
