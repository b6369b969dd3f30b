/* Reading a part of a file whole: a call may be interrupted by a signal, or return less than it was asked for. */

#ifndef EVENTLOG_STORE_READ_H
#define EVENTLOG_STORE_READ_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define EL_PAGE_BYTES 4096 /* of the system's cache */

/* How many bytes could be read: fewer only where the file ends or reading fails. */
static inline size_t el_read_at(int fd, uint8_t *into, size_t length, int64_t position) {
    size_t filled = 0;
    while (filled < length) {
        ssize_t got = pread(fd, into + filled, length - filled, position + (int64_t)filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        filled += (size_t)got;
    }
    return filled;
}

#endif
