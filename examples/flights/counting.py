"""What each group counts: whole numbers by name, so that the counts of several chunks are their sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

Flights = Iterable[Mapping[str, str]]


def count_departures(flights: Flights) -> Counter[str]:
    """Departures by airport."""
    return Counter(flight["origin"] for flight in flights)


def count_delays(flights: Flights) -> Counter[str]:
    """By airline the flights that were not cancelled, as "UA flights", and the sum of their delays, as "UA minutes"."""
    counts: Counter[str] = Counter()
    for flight in flights:
        if flight["dep_delay"] != "NA":
            counts[flight["carrier"] + " flights"] += 1
            counts[flight["carrier"] + " minutes"] += int(flight["dep_delay"])
    return counts


GROUPS: dict[str, Callable[[Flights], Counter[str]]] = {"airports": count_departures, "delays": count_delays}


def summary(group: str, counts: Counter[str]) -> str:
    """The counts of a group in a line; of the average delays only the longest ones."""
    if group == "airports":
        return ", ".join(f"{airport} {departures:,}" for airport, departures in counts.most_common())
    airlines = {name.split()[0] for name in counts}
    delays = {airline: counts[f"{airline} minutes"] / counts[f"{airline} flights"] for airline in airlines}
    longest = sorted(delays, key=lambda airline: -delays[airline])[:5]
    return ", ".join(f"{airline} {delays[airline]:.1f} min" for airline in longest) + ", ..."
