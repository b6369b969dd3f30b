"""Files at rest: names, segments, indexes, recovery, inspection and repair."""
