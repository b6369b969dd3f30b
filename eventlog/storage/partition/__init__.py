"""An open partition: appending, reading, searching, deleting."""
