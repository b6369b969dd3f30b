/* Loaded in front of libc (LD_PRELOAD): writes down, in order, every change that its process makes to the files below one
 * directory, and every fsync. Nothing is written down before recorder_begin and after recorder_end.
 *
 * Stores into shared mappings go through no call. So the content of each file that is mapped for writing is looked at before
 * every other event, and written down where it has changed since.
 *
 * The record is a sequence of `event`, each followed by its names and bytes; recording.py reads it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, MAKE_DIRECTORY, LINK, UNLINK, REMOVE_DIRECTORY, RENAME, WRITE, WRITE_SYNCED, TRUNCATE, ALLOCATE, SYNC, MAPPED, MARK };

typedef struct event {
    uint32_t kind;
    uint32_t name_length;
    uint32_t other_name_length;
    uint32_t data_length;
    uint64_t inode;
    uint64_t directory;       /* of the name */
    uint64_t other_directory; /* of the other name */
    int64_t position;         /* or a size */
    int64_t length;
} event;

typedef struct mapped_file {
    int fd;
    uint64_t inode;
    size_t length;
    uint8_t *content;
} mapped_file;

#define MAPPED_MAX 256
#define NAMED(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int record_fd = -1;
static char root[PATH_MAX];
static mapped_file mapped[MAPPED_MAX];
static int mapped_count;

static void give_up(const char *why) {
    dprintf(2, "recorder: %s: %s\n", why, strerror(errno));
    abort();
}

static void put(const void *data, size_t length) {
    while (length > 0) {
        long written = syscall(SYS_write, record_fd, data, length);
        if (written < 0)
            give_up("the record cannot be written");
        data = (const char *)data + written;
        length -= (size_t)written;
    }
}

static void put_event(event entry, const char *name, const char *other_name, const void *data) {
    entry.name_length = name == NULL ? 0 : (uint32_t)strlen(name);
    entry.other_name_length = other_name == NULL ? 0 : (uint32_t)strlen(other_name);
    put(&entry, sizeof entry);
    put(name, entry.name_length);
    put(other_name, entry.other_name_length);
    put(data, entry.data_length);
}

static void look_at_mapped(mapped_file *file) {
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        give_up("a mapped file is gone");
    size_t length = (size_t)status.st_size;
    uint8_t *content = malloc(length + 1);
    if (content == NULL || syscall(SYS_pread64, file->fd, content, length, (off_t)0) != (long)length)
        give_up("a mapped file cannot be read");
    if (length == file->length && memcmp(content, file->content, length) == 0) {
        free(content);
        return;
    }
    free(file->content);
    file->content = content;
    file->length = length;
    put_event((event){.kind = MAPPED, .inode = file->inode, .data_length = (uint32_t)length}, NULL, NULL, content);
}

/* Around every call: one at a time, so that the record has them in their order. errno is what the call leaves. */
static int enter(void) {
    pthread_mutex_lock(&turn);
    int error_number = errno;
    for (int number = 0; record_fd >= 0 && number < mapped_count; number++)
        look_at_mapped(&mapped[number]);
    errno = error_number;
    return record_fd >= 0;
}

static void leave(int error_number) {
    errno = error_number;
    pthread_mutex_unlock(&turn);
}

static int is_below_root(const char *path) {
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The path of an open file, or an empty one if it is not below the directory that is recorded. */
static const char *path_of(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlink, link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = '\0';
    if (!is_below_root(path))
        path[0] = '\0';
    return path;
}

static uint64_t inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

typedef struct place {
    char path[2 * PATH_MAX];
    const char *name;
    uint64_t directory;
    uint64_t inode; /* 0: nothing stands there */
    int is_recorded;
} place;

/* What a path means: the directory, the name in it, and what stands there now. */
static place *find(place *found, int directory_fd, const char *path) {
    char directory[PATH_MAX] = "";
    int by_descriptor, length = 0;
    if (sscanf(path, "/proc/self/fd/%d/%n", &by_descriptor, &length) == 1 && length > 0) {
        path_of(by_descriptor, directory);
        path += length;
    } else if (path[0] != '/' && directory_fd != AT_FDCWD)
        path_of(directory_fd, directory);
    snprintf(found->path, sizeof found->path, "%s%s%s", directory, directory[0] ? "/" : "", path);
    struct stat status;
    found->inode = lstat(found->path, &status) == 0 ? status.st_ino : 0;
    found->is_recorded = is_below_root(found->path);
    char *slash = strrchr(found->path, '/');
    found->name = slash == NULL ? found->path : slash + 1;
    found->directory = 0;
    if (slash != NULL) {
        *slash = '\0';
        found->directory = stat(found->path, &status) == 0 ? status.st_ino : 0;
        *slash = '/';
    }
    return found;
}

static void note_name(uint32_t kind, const place *at, uint64_t inode) {
    put_event((event){.kind = kind, .inode = inode, .directory = at->directory}, at->name, NULL, NULL);
}

static void note_file(uint32_t kind, int fd, int64_t position, int64_t length, const void *data, size_t data_length) {
    char path[PATH_MAX];
    if (path_of(fd, path)[0] == '\0')
        return;
    event entry = {.kind = kind, .inode = inode_of(fd), .position = position, .length = length};
    entry.data_length = (uint32_t)data_length;
    put_event(entry, NULL, NULL, data);
}

static void note_write(int fd, const void *data, ssize_t length, int64_t position) {
    if (length > 0) {
        int flags = fcntl(fd, F_GETFL);
        note_file(flags & O_DSYNC ? WRITE_SYNCED : WRITE, fd, position, length, data, (size_t)length);
    }
}

static void note_vector(int fd, const struct iovec *parts, int count, ssize_t length, int64_t position) {
    for (int number = 0; number < count && length > 0; number++) {
        ssize_t part = (ssize_t)parts[number].iov_len < length ? (ssize_t)parts[number].iov_len : length;
        note_write(fd, parts[number].iov_base, part, position);
        position += part;
        length -= part;
    }
}

/* --- what recording.py calls --------------------------------------------------------------------------- */

void recorder_begin(const char *directory, int fd);
void recorder_mark(int64_t number);
void recorder_end(void);

void recorder_begin(const char *directory, int fd) {
    enter();
    snprintf(root, sizeof root, "%s", directory);
    record_fd = fd;
    leave(errno);
}

void recorder_mark(int64_t number) {
    if (enter())
        put_event((event){.kind = MARK, .position = number}, NULL, NULL, NULL);
    leave(errno);
}

void recorder_end(void) {
    enter();
    for (int number = 0; number < mapped_count; number++) {
        close(mapped[number].fd);
        free(mapped[number].content);
    }
    mapped_count = 0;
    record_fd = -1;
    leave(errno);
}

/* --- libc, names first -------------------------------------------------------------------------------- */

#pragma GCC diagnostic ignored "-Wattributes"

static int open_noted(int directory_fd, const char *path, int flags, mode_t mode) {
    place at;
    if (enter())
        find(&at, directory_fd, path);
    else
        at.is_recorded = 0;
    int fd = NAMED(openat64)(directory_fd, path, flags, mode);
    int error_number = errno;
    if (fd >= 0 && at.is_recorded && (flags & O_CREAT) && at.inode == 0)
        note_name(CREATE, &at, inode_of(fd));
    else if (fd >= 0 && at.is_recorded && (flags & O_TRUNC))
        note_file(TRUNCATE, fd, 0, 0, NULL, 0);
    leave(error_number);
    return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_noted(AT_FDCWD, path, flags, mode);
}

int openat64(int directory_fd, const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_noted(directory_fd, path, flags, mode);
}

int open(const char *, int, ...) __attribute__((alias("open64")));
int openat(int, const char *, int, ...) __attribute__((alias("openat64")));

int mkdirat(int directory_fd, const char *path, mode_t mode) {
    place at;
    int is_recording = enter();
    int result = NAMED(mkdirat)(directory_fd, path, mode);
    int error_number = errno;
    if (is_recording && result == 0 && find(&at, directory_fd, path)->is_recorded)
        note_name(MAKE_DIRECTORY, &at, at.inode);
    leave(error_number);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    return mkdirat(AT_FDCWD, path, mode);
}

int unlinkat(int directory_fd, const char *path, int flags) {
    place at = {.is_recorded = 0};
    if (enter())
        find(&at, directory_fd, path);
    int result = NAMED(unlinkat)(directory_fd, path, flags);
    int error_number = errno;
    if (result == 0 && at.is_recorded)
        note_name(flags & AT_REMOVEDIR ? REMOVE_DIRECTORY : UNLINK, &at, at.inode);
    leave(error_number);
    return result;
}

int unlink(const char *path) {
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path) {
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int linkat(int old_fd, const char *old, int new_fd, const char *new, int flags) {
    place at;
    int is_recording = enter();
    int result = NAMED(linkat)(old_fd, old, new_fd, new, flags);
    int error_number = errno;
    if (is_recording && result == 0 && find(&at, new_fd, new)->is_recorded)
        note_name(LINK, &at, at.inode);
    leave(error_number);
    return result;
}

int link(const char *old, const char *new) {
    return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int renameat(int old_fd, const char *old, int new_fd, const char *new) {
    place from = {.is_recorded = 0}, to;
    if (enter()) {
        find(&from, old_fd, old);
        find(&to, new_fd, new);
    }
    int result = NAMED(renameat)(old_fd, old, new_fd, new);
    int error_number = errno;
    if (result == 0 && from.is_recorded)
        put_event((event){.kind = RENAME, .inode = from.inode, .directory = from.directory, .other_directory = to.directory},
                  from.name, to.name, NULL);
    leave(error_number);
    return result;
}

int rename(const char *old, const char *new) {
    return renameat(AT_FDCWD, old, AT_FDCWD, new);
}

/* --- libc, content ------------------------------------------------------------------------------------- */

ssize_t write(int fd, const void *data, size_t length) {
    int is_recording = enter();
    ssize_t written = syscall(SYS_write, fd, data, length);
    int error_number = errno;
    if (is_recording && written > 0)
        note_write(fd, data, written, lseek(fd, 0, SEEK_CUR) - written);
    leave(error_number);
    return written;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t position) {
    int is_recording = enter();
    ssize_t written = NAMED(pwrite64)(fd, data, length, position);
    int error_number = errno;
    if (is_recording)
        note_write(fd, data, written, position);
    leave(error_number);
    return written;
}

ssize_t pwrite(int, const void *, size_t, off_t) __attribute__((alias("pwrite64")));

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int is_recording = enter();
    ssize_t written = NAMED(writev)(fd, parts, count);
    int error_number = errno;
    if (is_recording && written > 0)
        note_vector(fd, parts, count, written, lseek(fd, 0, SEEK_CUR) - written);
    leave(error_number);
    return written;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t position) {
    int is_recording = enter();
    ssize_t written = NAMED(pwritev64)(fd, parts, count, position);
    int error_number = errno;
    if (is_recording)
        note_vector(fd, parts, count, written, position);
    leave(error_number);
    return written;
}

ssize_t pwritev(int, const struct iovec *, int, off_t) __attribute__((alias("pwritev64")));

int ftruncate64(int fd, off64_t length) {
    int is_recording = enter();
    int result = NAMED(ftruncate64)(fd, length);
    int error_number = errno;
    if (is_recording && result == 0)
        note_file(TRUNCATE, fd, length, 0, NULL, 0);
    leave(error_number);
    return result;
}

int ftruncate(int, off_t) __attribute__((alias("ftruncate64")));

int fallocate64(int fd, int mode, off64_t start, off64_t length) {
    int is_recording = enter();
    int result = NAMED(fallocate64)(fd, mode, start, length);
    int error_number = errno;
    if (is_recording && result == 0)
        note_file(ALLOCATE, fd, start, length, NULL, 0);
    leave(error_number);
    return result;
}

int fallocate(int, int, off_t, off_t) __attribute__((alias("fallocate64")));

int posix_fallocate64(int fd, off64_t start, off64_t length) {
    int is_recording = enter();
    int result = NAMED(posix_fallocate64)(fd, start, length);
    if (is_recording && result == 0)
        note_file(ALLOCATE, fd, start, length, NULL, 0);
    leave(errno);
    return result;
}

int posix_fallocate(int, off_t, off_t) __attribute__((alias("posix_fallocate64")));

static int sync_noted(int fd, int (*sync)(int)) {
    int is_recording = enter();
    int result = sync(fd);
    int error_number = errno;
    if (is_recording && result == 0)
        note_file(SYNC, fd, 0, 0, NULL, 0);
    leave(error_number);
    return result;
}

int fsync(int fd) {
    return sync_noted(fd, NAMED(fsync));
}

int fdatasync(int fd) {
    return sync_noted(fd, NAMED(fdatasync));
}

/* LMDB's table of readers is mapped, too, but says nothing after a crash, and opening it would cost LMDB its locks on it. */
static int says_nothing(const char *path) {
    const char *name = strrchr(path, '/');
    return name == NULL || strcmp(name, "/lock.mdb") == 0 || strcmp(name, "/signals") == 0;
}

static void watch(int fd) {
    char path[PATH_MAX], link[64];
    uint64_t inode = inode_of(fd);
    if (says_nothing(path_of(fd, path)))
        return;
    for (int number = 0; number < mapped_count; number++)
        if (mapped[number].inode == inode)
            return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int own = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    if (own < 0 || mapped_count == MAPPED_MAX)
        give_up("a mapped file cannot be watched");
    mapped[mapped_count++] = (mapped_file){.fd = own, .inode = inode, .length = SIZE_MAX};
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    if (fd < 0 || !(protection & PROT_WRITE) || !(flags & MAP_SHARED))
        return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
    int is_recording = enter();
    void *result = (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
    int error_number = errno;
    if (is_recording && result != MAP_FAILED)
        watch(fd);
    leave(error_number);
    return result;
}

void *mmap(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap64")));
