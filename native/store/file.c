#define _GNU_SOURCE
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

int el_file_open(int directory, const char *path, int flags, unsigned mode, int *file) {
    int descriptor = openat(directory, path, flags, mode);
    if (descriptor < 0)
        return errno;
    *file = descriptor;
    return 0;
}

int el_file_take(int *file) {
    return __atomic_exchange_n(file, -1, __ATOMIC_RELAXED); /* threads may close the same one */
}

void el_file_close(int *file) {
    int descriptor = el_file_take(file);
    if (descriptor >= 0)
        close(descriptor);
}

void el_files_close(int *files, size_t count) {
    for (size_t i = 0; i < count; i++)
        el_file_close(files + i);
}

void el_file_unlock(int *file) {
    int descriptor = el_file_take(file);
    if (descriptor < 0)
        return;
    struct flock bytes = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    flock(descriptor, LOCK_UN);
    fcntl(descriptor, F_OFD_SETLK, &bytes);
    close(descriptor);
}
