"""APIs of the coordinators: of consumer groups, and of transactions."""
