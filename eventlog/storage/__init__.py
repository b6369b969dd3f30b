"""Partitions on disk: segments, indexes, the shared head, appending, reading, recovery."""
