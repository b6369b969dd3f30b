"""Verifying a partition that is in use."""

from __future__ import annotations

from eventlog._native import lib
from eventlog.anchored import plain
from eventlog.storage.partition.partition import Partition, parts
from eventlog.storage.segments.inspection import VerifyReport, verify_partition


def verify(partition: Partition, *, may_have_gaps: bool) -> VerifyReport:
    """Check every byte of a partition, while others append to it, compact it or delete its beginning."""
    own_parts = parts(partition)
    with own_parts.locked():
        pass  # what a killed process began is finished, so that it is not taken for damage
    while True:
        version = lib.el_head_segments_version(own_parts.head.pointer)
        # Behind the end offset may stand what somebody is about to append, or died while appending.
        start_offset, end_offset = partition.start_offset, partition.end_offset
        report = verify_partition(own_parts.directory, start_offset, end_offset, may_have_gaps=may_have_gaps)
        if not report.problems or version == lib.el_head_segments_version(own_parts.head.pointer):
            return _by_name(report)


def _by_name(report: VerifyReport) -> VerifyReport:
    """For who shows it elsewhere, or keeps it for longer than the store is open."""
    report.directory = plain(report.directory)
    report.problems = [problem._replace(path=plain(problem.path)) for problem in report.problems]
    return report
