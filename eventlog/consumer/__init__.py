"""Consumers: records from partitions, alone or sharing them in a group."""
