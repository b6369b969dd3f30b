"""One iteration over a consumer, and the record of it that its caller may still be working on."""

from __future__ import annotations

from eventlog.consumer.assigned_partition import AssignedPartition


class Iteration:
    """`partition` and `offset` are those of the record in hand, once somebody else has asked the consumer for more. `is_open`
    until the iterator is closed, which may happen in any thread and at any moment: so that is all that happens then."""

    partition: AssignedPartition
    offset: int
    is_open = True
