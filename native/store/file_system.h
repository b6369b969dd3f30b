/* What file systems do with bytes that are written over, as far as a map of a file depends on it. */

#ifndef EVENTLOG_STORE_FILE_SYSTEM_H
#define EVENTLOG_STORE_FILE_SYSTEM_H

#include <stdint.h>

/* Does the file system write over the blocks of a file where they are? Where it copies them, or may share them with a copy of the
 * file, a store into a map needs a new block, however much was preallocated, and on a full disk is a SIGBUS. */
int el_writes_in_place(int fd);

/* Make a file that is about to be mapped at least so long, with blocks of its own, which are written in place as far as its file
 * system knows such a thing. Returns 0 or an errno. */
int el_make_room_to_map(int fd, int64_t length);

#endif
