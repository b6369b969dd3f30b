"""The truth about everything but records: topics, their partitions and settings."""
