"""Verifying a partition that is in use."""

from __future__ import annotations

from eventlog.anchored import plain
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.segments.inspection import VerifyReport, verify_partition


def verify(log: PartitionLog, *, may_have_gaps: bool) -> VerifyReport:
    """Check every byte of a partition, while others append to it, compact it or delete its beginning."""
    log.complete_swaps()
    while True:
        version = log.segments.version
        # After the end offset, there may be data that a process is about to append, or died while appending.
        start_offset, end_offset = log.start_offset, log.end_offset
        report = verify_partition(log.directory, start_offset, end_offset, may_have_gaps=may_have_gaps)
        if not report.problems or version == log.segments.version:
            return _by_name(report)


def _by_name(report: VerifyReport) -> VerifyReport:
    """The report with plain paths, for use elsewhere or for longer than the store is open."""
    report.directory = plain(report.directory)
    report.problems = [problem._replace(path=plain(problem.path)) for problem in report.problems]
    return report
