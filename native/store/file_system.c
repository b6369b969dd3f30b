#define _GNU_SOURCE
#include "file_system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Source: linux/fs/xfs/libxfs/xfs_fs.h */
typedef struct xfs_geometry {
    uint32_t sizes[8];
    uint64_t blocks[4];
    uint8_t uuid[16];
    uint32_t stripe[2];
    int32_t version;
    uint32_t flags;
    uint32_t log[4];
} xfs_geometry;
#define XFS_SUPER_MAGIC_NUMBER 0x58465342
#define XFS_GEOMETRY _IOR('X', 124, xfs_geometry)
#define XFS_HAS_REFLINK (1u << 20)

_Static_assert(sizeof(xfs_geometry) == 112, "struct xfs_fsop_geom_v4");

static int xfs_shares_blocks(int fd) {
    xfs_geometry geometry;
    return ioctl(fd, XFS_GEOMETRY, &geometry) != 0 || (geometry.flags & XFS_HAS_REFLINK) != 0;
}

int el_writes_in_place(int fd) {
    struct statfs about;
    if (fstatfs(fd, &about) != 0)
        return 0;
    switch ((uint32_t)about.f_type) {
    case EXT4_SUPER_MAGIC: /* and ext2, ext3 */
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
        return 1;
    case XFS_SUPER_MAGIC_NUMBER:
        return !xfs_shares_blocks(fd);
    default: /* btrfs, bcachefs and others copy; what is behind overlayfs and FUSE cannot be told */
        return 0;
    }
}

/* Give the file blocks that no copy of it shares. Returns 0 or an errno. */
static int unshare(int fd, int64_t length) {
    while (fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, length) != 0)
        if (errno != EINTR)
            return errno == ENOSPC || errno == EDQUOT ? errno : 0; /* most have no such call, and never share blocks by themselves */
    return 0;
}

int el_make_room_to_map(int fd, int64_t length) {
    struct stat file;
    int flags;
    if (fstat(fd, &file) != 0)
        return errno;
    if (file.st_size == 0 && !el_writes_in_place(fd) && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        ioctl(fd, FS_IOC_SETFLAGS, &flags); /* a flag of btrfs; others do not have it */
    }
    int error_number = file.st_size < length ? posix_fallocate(fd, file.st_size, length - file.st_size) : 0;
    return error_number != 0 || el_writes_in_place(fd) ? error_number : unshare(fd, length);
}
