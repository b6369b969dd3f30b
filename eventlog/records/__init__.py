"""Records and batches: the content of segments, without files."""
