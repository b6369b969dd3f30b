"""An open store: its directory, its catalog, the partitions in use, and the order in which all of that is closed."""
