/* Assertions: what has to be true here whatever anybody has passed in, read from a file or done in another process.
 *
 * They are compiled in only with EVENTLOG_ASSERTIONS: in the C tests, under sanitizers and fuzzers, and in the variant with fault
 * points (see build.py). Without it the condition is compiled, so that it stays right, and never evaluated. */

#ifndef EVENTLOG_CODEC_ASSERTIONS_H
#define EVENTLOG_CODEC_ASSERTIONS_H

#ifdef EVENTLOG_ASSERTIONS

#include <stdio.h>
#include <stdlib.h>

#define EL_ASSERT(condition)                                                                          \
    do {                                                                                              \
        if (!(condition)) {                                                                           \
            fprintf(stderr, "%s:%d: %s: %s does not hold\n", __FILE__, __LINE__, __func__, #condition); \
            abort();                                                                                  \
        }                                                                                             \
    } while (0)

#else

#define EL_ASSERT(condition) ((void)(0 && (condition)))

#endif

#endif
