/* Files that Python opens and closes, each in a cell that is -1 while there is none.
 *
 * A signal's handler may raise as soon as a native call has returned. So by then what was opened is in its cell, and what is to be
 * closed has left it. */

#ifndef EVENTLOG_STORE_FILE_H
#define EVENTLOG_STORE_FILE_H

#include <fcntl.h>
#include <stddef.h>

#define EL_WORKING_DIRECTORY AT_FDCWD

/* openat(2) into a cell. 0, or the errno. */
int el_file_open(int directory, const char *path, int flags, unsigned mode, int *file);

/* Empty a cell; the descriptor, or -1. */
int el_file_take(int *file);

/* Close what is in a cell, if there is anything. */
void el_file_close(int *file);
void el_files_close(int *files, size_t count);

/* The same, and give back its flock(2) before: a child that was forked just now has a copy of the descriptor, which would keep it. */
void el_file_unlock(int *file);

#endif
