"""Pages that processes share: a partition's head, the slots of a group, the gate to the catalog."""
