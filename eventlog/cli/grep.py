"""`eventlog grep`: print the records that hold a text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli.selection import Selection, Span, reading_options, write_counts, write_records
from eventlog.cli.spelling import narrow
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog import Record

STATUS_NOTHING_FOUND = 3


@click.command()
@click.argument("pattern")
@click.argument("topic")
@click.option(
    "--in",
    "fields",
    type=click.Choice(["key", "value", "headers"]),
    multiple=True,
    default=["value"],
    show_default=True,
    help="Where to search; may be repeated. Headers: names and values.",
)
@click.option("-F", "--fixed", "is_fixed", is_flag=True, help="PATTERN is the text itself, not a regular expression.")
@click.option("-i", "--ignore-case", is_flag=True, help="Ignore the case of ASCII letters.")
@click.option("-v", "--invert", is_flag=True, help="Print the records that do not match PATTERN.")
@reading_options
def grep(
    pattern: str,
    topic: str,
    fields: tuple[str, ...],
    is_fixed: bool,
    ignore_case: bool,
    invert: bool,
    **options: Any,
) -> None:
    """Print the records of TOPIC that match PATTERN, a regular expression.

    The syntax is that of Python's re module; it matches bytes. Records that cannot match are not decoded, so this is
    faster than consuming everything and searching the output. The exit status is 3 if nothing was found.

    \b
    Example:
      eventlog grep 'refund|cancel' orders --from 2026-11-01 --json
      eventlog grep '"total":12,' orders --fixed --count
      eventlog grep --in key '^customer-7$' orders --format '{offset} {value}'
    """
    topic, options["partitions"] = narrow(topic, options["partitions"])
    selection = Selection(**options)
    query = _compiled(pattern, is_fixed=is_fixed, ignore_case=ignore_case)
    case = {"ignore_case": ignore_case and is_fixed}

    def found(span: Span) -> Iterator[Record]:
        partition, first, stop = span
        if first >= stop:
            return iter(())
        return selection.filter(partition.search(query, first, stop, fields=fields, invert=invert, **case))

    write = selection.write if invert else selection.write_marked(query, ignore_case=ignore_case)
    with open_store() as log:
        counts = {}
        limit = selection.limit
        for span in selection.spans(selection.open_partitions(log, topic)):
            if selection.is_count:
                count = sum(1 for _ in islice(found(span), limit))
            else:
                count = write_records(found(span), limit, write)
            counts[span.partition.partition] = count
            limit -= count
        if selection.is_count:
            write_counts(topic, counts, as_json=selection.as_json)
    if not any(counts.values()):
        raise click.exceptions.Exit(STATUS_NOTHING_FOUND)


def _compiled(pattern: str, *, is_fixed: bool, ignore_case: bool) -> bytes | re.Pattern[bytes]:
    text = pattern.encode("utf-8", "surrogateescape")
    if is_fixed:
        return text
    warnings.simplefilter("ignore", FutureWarning)  # about sets that look like another dialect's: of no use here
    try:
        return re.compile(text, re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError) as error:
        hint = "--fixed searches for the text as it is"
        raise click.BadParameter(f"not a regular expression: {error}; {hint}", param_hint="'PATTERN'") from None
