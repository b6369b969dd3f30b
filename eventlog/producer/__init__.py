"""Producers: records to partitions, and acknowledgements back."""
