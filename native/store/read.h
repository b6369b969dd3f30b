/* Between memory and the system's cache of a file. */

#ifndef EVENTLOG_STORE_READ_H
#define EVENTLOG_STORE_READ_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define EL_PAGE_BYTES 4096 /* of the system's cache */

/* Where in memory the bytes of a file from this position on belong: as far into a page as they stand in one of the file. The kernel
 * copies with `rep movsb`, which takes a tenth longer, and on some processors five times as long, where the copy begins elsewhere in
 * a page. The memory has EL_PAGE_BYTES more than the bytes need. */
static inline uint8_t *el_place_for(uint8_t *memory, int64_t position) {
    return memory + (((size_t)position - (size_t)(uintptr_t)memory) & (EL_PAGE_BYTES - 1));
}

/* Read a part of a file whole: a call may be interrupted by a signal, or return less than it was asked for. Returns how many bytes
 * could be read: fewer only where the file ends or reading fails. */
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
