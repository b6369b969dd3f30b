"""Administration of a store: backup and restore, repair, verification, and diagnosis."""
