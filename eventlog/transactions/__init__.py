"""Transactions: what producers append to several partitions, and commit in groups, becomes visible together or not at all."""
