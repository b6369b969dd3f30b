"""One iteration over a consumer, and its record that the caller may still be working on."""

from __future__ import annotations

from eventlog.consumer.assigned_partition import AssignedPartition


class Iteration:
    """`partition` and `offset` are those of the record in hand, set when another caller asks the consumer for more. `is_open`
    is true until the iterator is closed. That may happen in any thread and at any moment, so nothing else happens then."""

    partition: AssignedPartition
    offset: int
    is_open = True
