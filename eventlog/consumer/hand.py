"""What one iterator of a consumer has handed out, and its caller may still be working on."""

from __future__ import annotations

from eventlog.consumer.assigned_partition import AssignedPartition


class Hand:
    """`lane` and `offset` of the record, once somebody else has asked the consumer for more. `is_open` until the iterator is
    closed, which may happen in any thread and at any moment: so that is all that happens then."""

    lane: AssignedPartition
    offset: int
    is_open = True
