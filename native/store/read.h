/* Reading from the page cache into memory. */

#ifndef EVENTLOG_STORE_READ_H
#define EVENTLOG_STORE_READ_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define EL_PAGE_BYTES 4096 /* of the page cache */

/* Where in memory the bytes from this position of a file belong: as far into a page as they are in a page of the file. The kernel copies
 * with `rep movsb`, which takes a tenth longer, and on some processors five times as long, if the copy has another offset in its page.
 * The memory has EL_PAGE_BYTES more than the bytes need. */
static inline uint8_t *el_place_for(uint8_t *memory, int64_t position) {
    return memory + (((size_t)position - (size_t)(uintptr_t)memory) & (EL_PAGE_BYTES - 1));
}

/* Read all of a part of a file, although a call may be interrupted by a signal or return less than it was asked for. Returns how many
 * bytes could be read: fewer only if the file ends or reading fails. */
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
