"""An open store: its directory, its catalog, the partitions in use, and the order in which these are closed."""
