"""Records and batches: what stands in a segment, without files."""
