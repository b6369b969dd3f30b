"""Does an unsealed head agree with the files? Its processes were killed, or a bit of it has changed.

The check costs a few system calls, however large the partition is: it examines the end of the last batch and the log's start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import CorruptLogError
from eventlog.storage.segments import files, names
from eventlog.storage.segments.headers import offset_behind
from eventlog.storage.segments.inspection import position_near
from eventlog.storage.segments.start import promised_start


def has_its_segments(directory: Path, head: Any) -> bool:
    """Do the segments of the first and of the last record exist, and is the last one as long as the native `el_head` says?"""
    base, position = ffi.new("int64_t *"), ffi.new("int64_t *")
    lib.el_head_active_segment(head, base, position)
    try:
        bases = files.segment_bases(directory)
    except FileNotFoundError:
        return False
    is_whole = base[0] in bases and files.size_of(names.segment_file(directory, base[0])) >= position[0]
    return is_whole and bases[0] <= lib.el_head_start_offset(head)


def agrees_with_files(directory: Path, head: Any, identity: tuple[int, int]) -> bool:
    """Can the native `el_head` be right? No other process has it mapped. It must not promise a durable offset that the files do
    not have."""
    tail, checkpoint = ffi.new("el_tail *"), ffi.new("el_checkpoint *")
    is_under_way = lib.el_head_peek(head, tail)
    bases = files.segment_bases(directory)
    if not bases or not lib.el_head_former_checkpoint(head, *identity, checkpoint):
        return False
    start, durable, end = lib.el_head_start_offset(head), lib.el_head_durable_offset(head), lib.el_head_end_offset(head)
    is_published = start <= end <= tail.end_offset if is_under_way else start <= end == tail.end_offset
    are_in_order = is_published and durable <= checkpoint.offset <= tail.end_offset
    starts_right = start == promised_start(directory, bases, tail.end_offset)
    # After the segment that takes appends, its successor may already exist.
    is_last = tail.segment_base == bases[-1] or (lib.el_head_is_sealing(head) and tail.segment_base in bases)
    return are_in_order and starts_right and is_last and _ends_there(directory, tail)


def _ends_there(directory: Path, tail: Any) -> bool:
    """Does a batch with the offset before the end offset end where the tail says, or is the segment empty?"""
    if tail.position == 0:
        return bool(tail.end_offset == tail.segment_base)
    path = names.segment_file(directory, tail.segment_base)
    sizes = [files.size_of(path.with_suffix(suffix)) for suffix in (names.INDEX_SUFFIX, names.TIME_INDEX_SUFFIX)]
    if not 0 < tail.position <= files.size_of(path):
        return False
    if not (0 <= tail.index_bytes <= sizes[0] and 0 <= tail.time_index_bytes <= sizes[1]):
        return False
    try:
        return bool(offset_behind(path, position_near(path, tail.end_offset - 1), tail.position) == tail.end_offset)
    except (OSError, CorruptLogError):
        return False
