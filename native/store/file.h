/* Files that Python opens and closes, each in a cell that is -1 while it is empty.
 *
 * A signal handler may raise as soon as a native call has returned. By then a file that was opened is in its cell, and one that was
 * closed has left it. */

#ifndef EVENTLOG_STORE_FILE_H
#define EVENTLOG_STORE_FILE_H

#include <fcntl.h>
#include <stddef.h>

#define EL_WORKING_DIRECTORY AT_FDCWD

/* openat(2) into a cell. 0, or the errno. */
int el_file_open(int directory, const char *path, int flags, unsigned mode, int *file);

/* Empty a cell. Returns the descriptor, or -1. */
int el_file_take(int *file);

/* Close what is in a cell, unless it is empty. */
void el_file_close(int *file);
void el_files_close(int *files, size_t count);

/* The same, but release its flock(2) and its locks on bytes first: a child that has just been forked has a copy of the descriptor, and would
 * keep them. */
void el_file_unlock(int *file);

#endif
