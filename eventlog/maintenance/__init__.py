"""Housekeeping: what keeps a store within its bounds. Any process may do it, one at a time."""
