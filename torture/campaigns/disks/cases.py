"""Which faults are tried on a workload, by the calls that it makes: each of them in turn, with each error its man page allows.

Sources: the ERRORS sections of open(2), close(2), read(2), write(2), ftruncate(2), fallocate(2), rename(2), link(2), unlink(2),
mkdir(2), rmdir(2), fsync(2), mmap(2), flock(2), fcntl(2), stat(2), statfs(2), getdents(2) and access(2).
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator

from tests.support.faults import SPACE, Call, Fault, Part

_FULL = (errno.ENOSPC, errno.EDQUOT)

ERRORS: dict[Call, tuple[int, ...]] = {
    Call.OPEN: (errno.EIO, errno.EMFILE, errno.EINTR),
    Call.CREATE: (errno.EIO, errno.EMFILE, *_FULL),
    Call.CLOSE: (errno.EIO,),
    Call.READ: (errno.EIO, errno.EINTR),
    Call.WRITE: (errno.EIO, errno.EINTR, errno.EFBIG, *_FULL),
    Call.TRUNCATE: (errno.EIO, errno.EINTR),
    Call.ALLOCATE: (errno.EIO, errno.EINTR, errno.EFBIG, *_FULL),
    Call.RENAME: (errno.EIO, *_FULL),
    Call.LINK: (errno.EIO, errno.EMLINK, *_FULL),
    Call.UNLINK: (errno.EIO,),
    Call.MAKE_DIRECTORY: (errno.EIO, *_FULL),
    Call.REMOVE_DIRECTORY: (errno.EIO,),
    Call.SYNC: (errno.EIO, errno.EINTR, *_FULL),
    Call.MAP: (errno.ENOMEM, errno.ENFILE),
    Call.FLOCK: (errno.ENOLCK, errno.EINTR),
    Call.RECORD_LOCK: (errno.ENOLCK, errno.EINTR),
    Call.STAT: (errno.EIO, errno.ENOMEM),
    Call.STATFS: (errno.EIO, errno.EINTR),
    Call.LIST: (errno.EIO, errno.ENOMEM),
    Call.ACCESS: (errno.EIO,),
}
_PARTS = (Part.HALF, Part.ONE_BYTE, Part.NOTHING)


def _on_call(call: Call, number: int) -> Iterator[Fault]:
    kinds = frozenset({call})
    for error_number in ERRORS[call]:
        yield Fault(kinds, number, error_number)
        if error_number != errno.EINTR:  # signals end at some time
            yield Fault(kinds, number, error_number, is_lasting=True)
    if call == Call.READ:  # that reads nothing only at the end of a file
        yield from (Fault(kinds, number, part=part) for part in (Part.HALF, Part.ONE_BYTE))
    if call == Call.WRITE:
        yield from (Fault(kinds, number, part=part) for part in _PARTS)
        yield from (Fault(kinds, number, errno.ENOSPC, is_lasting=True, part=part) for part in _PARTS)


def cases(calls: Counter[Call]) -> list[Fault]:
    """All faults for a workload that makes so many calls of each kind."""
    faults = [fault for call, count in calls.items() for number in range(1, count + 1) for fault in _on_call(call, number)]
    space = sum(count for call, count in calls.items() if call in SPACE)
    faults += [Fault(SPACE, number, error, is_lasting=True) for number in range(1, space + 1) for error in _FULL]
    return faults
