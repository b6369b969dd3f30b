"""The source of truth about everything but records: topics, their partitions and settings, groups and their offsets."""
