/* Checks for the C tests: each prints what failed and where, and counts what held. */

#ifndef EVENTLOG_TESTS_CHECK_H
#define EVENTLOG_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>

static _Atomic long checks_done;

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        checks_done++;                                                                    \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

#define DONE() (printf("%-40s %ld checks\n", __FILE__, checks_done), 0)

#endif
