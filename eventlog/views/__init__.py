"""Snapshots for people and monitoring: a topic in detail, the activity in a store, and its metrics."""
