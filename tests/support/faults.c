/* A disk that lies: preloaded into a process, this library stands between it and the C library, and lets chosen calls on
 * files below one directory fail, or do only a part of what they were asked for.
 *
 * `faults.py` sets it up. Calls are told apart by kind; a fault is for a set of kinds, and counts the calls of these. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The same order as `Call` in faults.py. */
enum call {
    OPEN, CREATE, CLOSE, READ, WRITE, TRUNCATE, ALLOCATE, RENAME, LINK, UNLINK, MAKE_DIRECTORY, REMOVE_DIRECTORY, SYNC, MAP,
    FLOCK, RECORD_LOCK, STAT, STATFS, LIST, ACCESS, CALLS
};

enum part { WHOLE, HALF, ONE_BYTE, NOTHING };

#define FILES_MAX 65536
#define SYNCED_MAX 64

static struct {
    pthread_mutex_t mutex;
    char directory[4096]; /* "" while nothing is watched */
    unsigned char watched[FILES_MAX];
    int is_armed;
    unsigned long calls; /* a set of enum call */
    long first;
    int is_lasting;
    int error_number;
    int part; /* of the first call; those behind it fail */
    long matched;
    long hits;
    long counts[CALLS];
    char first_hit[4200];
    struct { dev_t device; ino_t inode; } unsynced[SYNCED_MAX]; /* files of which a sync has failed */
    int unsynced_count;
    char synced_again[4200]; /* such a file, when it was synced once more */
} faults = {.mutex = PTHREAD_MUTEX_INITIALIZER};

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static void path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = REAL(readlink)(link, path, size - 1);
    path[length > 0 ? length : 0] = 0;
}

static int is_watched(int fd) {
    return fd >= 0 && fd < FILES_MAX && faults.watched[fd];
}

static int is_below(int directory_fd, const char *path) {
    size_t length = strlen(faults.directory);
    if (length == 0 || path == NULL)
        return 0;
    int by_descriptor;
    char directory[4200];
    if (sscanf(path, "/proc/self/fd/%d", &by_descriptor) == 1) {
        path_of(by_descriptor, directory, sizeof directory);
        path = directory;
    }
    return path[0] == '/' ? strncmp(path, faults.directory, length) == 0 : is_watched(directory_fd);
}

static void watch(int fd, int is_ours) {
    if (fd >= 0 && fd < FILES_MAX)
        faults.watched[fd] = (unsigned char)is_ours;
}

struct verdict {
    int error_number;
    enum part part;
};

/* What becomes of a call: it is let through, fails, or does only a part. `path` may be NULL where there is a descriptor. */
static struct verdict judge(enum call call, int fd, const char *path) {
    struct verdict verdict = {0, WHOLE};
    if (!faults.is_armed)
        return verdict;
    int before = errno;
    pthread_mutex_lock(&faults.mutex);
    faults.counts[call]++;
    if (faults.calls >> call & 1) {
        long number = ++faults.matched;
        if (number == faults.first || (faults.is_lasting && number > faults.first)) {
            if (faults.hits++ == 0) {
                if (path != NULL)
                    snprintf(faults.first_hit, sizeof faults.first_hit, "%s", path);
                else
                    path_of(fd, faults.first_hit, sizeof faults.first_hit);
            }
            verdict.part = number == faults.first ? (enum part)faults.part : WHOLE;
            verdict.error_number = verdict.part == WHOLE ? faults.error_number : 0;
        }
    }
    pthread_mutex_unlock(&faults.mutex);
    errno = before;
    return verdict;
}

static int fails(enum call call, int fd, const char *path) {
    int error_number = judge(call, fd, path).error_number;
    if (error_number != 0)
        errno = error_number;
    return error_number != 0;
}

static size_t shortened(struct verdict verdict, size_t length) {
    switch (verdict.part) {
    case HALF: return length / 2;
    case ONE_BYTE: return length > 0;
    case NOTHING: return 0;
    default: return length;
    }
}

/* Whoever opens a file anew may look at what the disk has of it, and sync what is written then. */
static void forget_failed_sync(int fd) {
    struct stat status;
    if (faults.unsynced_count == 0 || REAL(fstat)(fd, &status) != 0)
        return;
    pthread_mutex_lock(&faults.mutex);
    for (int each = 0; each < faults.unsynced_count; each++)
        if (faults.unsynced[each].device == status.st_dev && faults.unsynced[each].inode == status.st_ino)
            faults.unsynced[each].inode = 0;
    pthread_mutex_unlock(&faults.mutex);
}

/* --- the calls ------------------------------------------------------------------------------------------------ */

static int opened(int directory_fd, const char *path, int flags, mode_t mode) {
    int is_ours = is_below(directory_fd, path);
    if (is_ours) {
        struct stat status;
        int is_new = (flags & O_CREAT) && REAL(fstatat)(directory_fd, path, &status, 0) != 0;
        if (fails(is_new ? CREATE : OPEN, -1, path))
            return -1;
    }
    int fd = REAL(openat)(directory_fd, path, flags, mode);
    watch(fd, is_ours);
    if (is_ours && fd >= 0)
        forget_failed_sync(fd);
    return fd;
}

#define MODE(flags, last) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, last); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *path, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags, flags) return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags, flags) return opened(at, path, flags, mode); }

/* The descriptor is gone also when closing it reports a failure. */
int close(int fd) {
    int is_ours = is_watched(fd), fails_here = is_ours && fails(CLOSE, fd, NULL), error_number = errno;
    watch(fd, 0);
    int result = REAL(close)(fd);
    if (fails_here)
        errno = error_number;
    return fails_here ? -1 : result;
}

int fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    int is_lock = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    if (is_lock && is_watched(fd) && fails(RECORD_LOCK, fd, NULL))
        return -1;
    int result = REAL(fcntl)(fd, command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        watch(result, is_watched(fd));
    return result;
}
int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

#define TRANSFER(name, call_kind, data_type, parameters, arguments) \
    ssize_t name(int fd, data_type data, size_t length parameters) { \
        if (is_watched(fd)) { \
            struct verdict verdict = judge(call_kind, fd, NULL); \
            if (verdict.error_number != 0) { \
                errno = verdict.error_number; \
                return -1; \
            } \
            length = shortened(verdict, length); \
            if (verdict.part != WHOLE && length == 0) \
                return 0; \
        } \
        return REAL(name)(fd, data, length arguments); \
    }
#define AND ,
TRANSFER(read, READ, void *, , )
TRANSFER(pread, READ, void *, AND off_t offset, AND offset)
TRANSFER(pread64, READ, void *, AND off64_t offset, AND offset)
TRANSFER(write, WRITE, const void *, , )
TRANSFER(pwrite, WRITE, const void *, AND off_t offset, AND offset)
TRANSFER(pwrite64, WRITE, const void *, AND off64_t offset, AND offset)

/* A vector is shortened to a part of its first piece. */
#define VECTOR(name, call_kind, parameters, arguments) \
    ssize_t name(int fd, const struct iovec *pieces, int count parameters) { \
        struct iovec first = *pieces; \
        if (is_watched(fd)) { \
            struct verdict verdict = judge(call_kind, fd, NULL); \
            if (verdict.error_number != 0) { \
                errno = verdict.error_number; \
                return -1; \
            } \
            if (verdict.part != WHOLE) { \
                first.iov_len = shortened(verdict, first.iov_len); \
                if (first.iov_len == 0) \
                    return 0; \
                return REAL(name)(fd, &first, 1 arguments); \
            } \
        } \
        return REAL(name)(fd, pieces, count arguments); \
    }
VECTOR(readv, READ, , )
VECTOR(writev, WRITE, , )
VECTOR(preadv64v2, READ, AND off64_t offset AND int flags, AND offset AND flags)
VECTOR(pwritev64v2, WRITE, AND off64_t offset AND int flags, AND offset AND flags)

/* A call that names an open file. */
#define ON_FILE(type, name, call_kind, parameters, arguments, failure) \
    type name(int fd parameters) { \
        if (is_watched(fd) && fails(call_kind, fd, NULL)) \
            return failure; \
        return REAL(name)(fd arguments); \
    }
ON_FILE(int, ftruncate, TRUNCATE, AND off_t length, AND length, -1)
ON_FILE(int, ftruncate64, TRUNCATE, AND off64_t length, AND length, -1)
ON_FILE(int, fallocate, ALLOCATE, AND int mode AND off_t start AND off_t length, AND mode AND start AND length, -1)
ON_FILE(int, posix_fallocate, ALLOCATE, AND off_t start AND off_t length, AND start AND length, errno)
ON_FILE(int, posix_fallocate64, ALLOCATE, AND off64_t start AND off64_t length, AND start AND length, errno)
ON_FILE(int, flock, FLOCK, AND int operation, AND operation, -1)
ON_FILE(int, fstat, STAT, AND struct stat *status, AND status, -1)
ON_FILE(int, fstat64, STAT, AND struct stat64 *status, AND status, -1)
ON_FILE(int, fstatfs, STATFS, AND struct statfs *status, AND status, -1)

extern int __fxstat(int version, int fd, struct stat *status);
int __fxstat(int version, int fd, struct stat *status) {
    return is_watched(fd) && fails(STAT, fd, NULL) ? -1 : REAL(__fxstat)(version, fd, status);
}

static void note_sync(int fd, int has_failed) {
    struct stat status;
    if (REAL(fstat)(fd, &status) != 0 || S_ISDIR(status.st_mode))
        return;
    pthread_mutex_lock(&faults.mutex);
    for (int each = 0; each < faults.unsynced_count; each++)
        if (faults.unsynced[each].device == status.st_dev && faults.unsynced[each].inode == status.st_ino)
            path_of(fd, faults.synced_again, sizeof faults.synced_again);
    if (has_failed && faults.unsynced_count < SYNCED_MAX) {
        faults.unsynced[faults.unsynced_count].device = status.st_dev;
        faults.unsynced[faults.unsynced_count++].inode = status.st_ino;
    }
    pthread_mutex_unlock(&faults.mutex);
}

/* Nothing here asks the disk to keep what it was given: no power is cut, and a sync that costs nothing lets more be tried. */
static int synced(int fd, int (*sync)(int)) {
    if (!is_watched(fd))
        return sync(fd);
    int error_number = fails(SYNC, fd, NULL) ? errno : 0;
    note_sync(fd, error_number != 0 && error_number != EINTR);
    errno = error_number;
    return error_number != 0 ? -1 : 0;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

/* A call that names a file by its path. */
#define ON_PATH(type, name, call_kind, parameters, arguments) \
    type name(const char *path parameters) { \
        if (is_below(-1, path) && fails(call_kind, -1, path)) \
            return -1; \
        return REAL(name)(path arguments); \
    }
#define AT_PATH(name, call_kind, parameters, arguments) \
    int name(int at, const char *path parameters) { \
        if (is_below(at, path) && fails(call_kind, -1, path)) \
            return -1; \
        return REAL(name)(at, path arguments); \
    }
ON_PATH(int, rename, RENAME, AND const char *other, AND other)
ON_PATH(int, link, LINK, AND const char *other, AND other)
AT_PATH(linkat, LINK, AND int to AND const char *other AND int flags, AND to AND other AND flags)
ON_PATH(int, unlink, UNLINK, , )
AT_PATH(unlinkat, UNLINK, AND int flags, AND flags)
ON_PATH(int, mkdir, MAKE_DIRECTORY, AND mode_t mode, AND mode)
AT_PATH(mkdirat, MAKE_DIRECTORY, AND mode_t mode, AND mode)
ON_PATH(int, rmdir, REMOVE_DIRECTORY, , )
ON_PATH(int, access, ACCESS, AND int mode, AND mode)
ON_PATH(int, stat, STAT, AND struct stat *status, AND status)
ON_PATH(int, stat64, STAT, AND struct stat64 *status, AND status)
ON_PATH(int, lstat, STAT, AND struct stat *status, AND status)
ON_PATH(int, lstat64, STAT, AND struct stat64 *status, AND status)
ON_PATH(int, statvfs, STATFS, AND struct statvfs *status, AND status)
ON_PATH(int, statvfs64, STATFS, AND struct statvfs64 *status, AND status)
AT_PATH(fstatat, STAT, AND struct stat *status AND int flags, AND status AND flags)
AT_PATH(fstatat64, STAT, AND struct stat64 *status AND int flags, AND status AND flags)

DIR *opendir(const char *path) {
    int is_ours = is_below(-1, path);
    if (is_ours && fails(LIST, -1, path))
        return NULL;
    DIR *directory = REAL(opendir)(path);
    if (directory != NULL)
        watch(dirfd(directory), is_ours);
    return directory;
}

int closedir(DIR *directory) {
    watch(dirfd(directory), 0);
    return REAL(closedir)(directory);
}

struct dirent64 *readdir64(DIR *directory) {
    return is_watched(dirfd(directory)) && fails(LIST, dirfd(directory), NULL) ? NULL : REAL(readdir64)(directory);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    if (!(flags & MAP_ANONYMOUS) && is_watched(fd) && fails(MAP, fd, NULL))
        return MAP_FAILED;
    return REAL(mmap)(address, length, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset) __attribute__((alias("mmap")));

/* --- what faults.py calls ------------------------------------------------------------------------------------- */

/* Watch the files below a directory from now on, and forget what was. */
void faults_watch(const char *directory) {
    snprintf(faults.directory, sizeof faults.directory, "%s", directory);
    faults.is_armed = 0;
    faults.unsynced_count = 0;
    faults.synced_again[0] = 0;
}

void faults_arm(unsigned long calls, long first, int is_lasting, int error_number, int part) {
    faults.calls = calls;
    faults.first = first;
    faults.is_lasting = is_lasting;
    faults.error_number = error_number;
    faults.part = part;
    faults.matched = faults.hits = 0;
    faults.first_hit[0] = 0;
    memset(faults.counts, 0, sizeof faults.counts);
    faults.is_armed = 1;
}

void faults_disarm(void) { faults.is_armed = 0; }
long faults_hits(void) { return faults.hits; }
long faults_count(int call) { return faults.counts[call]; }
const char *faults_first_hit(void) { return faults.first_hit; }
const char *faults_synced_again(void) { return faults.synced_again; }
