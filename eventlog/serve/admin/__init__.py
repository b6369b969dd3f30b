"""The APIs by which tools administer a store: its topics, their settings, and what a cluster of one store has to tell."""
