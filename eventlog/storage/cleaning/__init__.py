"""Retention and compaction: what goes from a partition, and how."""
