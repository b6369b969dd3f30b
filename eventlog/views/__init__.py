"""What people and monitoring look at: a topic with everything about it, what goes on in a store, and its metrics."""
