"""Keeping a store: backup and restore, repair, and finding out what is wrong with it."""
