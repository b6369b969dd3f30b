/* How file systems overwrite bytes, as far as the map of a file depends on it. */

#ifndef EVENTLOG_STORE_FILE_SYSTEM_H
#define EVENTLOG_STORE_FILE_SYSTEM_H

#include <stdint.h>

/* Does the file system overwrite the blocks of a file in place? If it copies them, or may share them with a copy of the file, a store
 * into a map needs a new block, whatever was preallocated, and on a full disk it is a SIGBUS. */
int el_writes_in_place(int fd);

/* Give a file that is about to be mapped at least this length, and blocks of its own that are overwritten in place, if its file system
 * can do that. Returns 0 or an errno. */
int el_make_room_to_map(int fd, int64_t length);

#endif
