"""Another store in a directory as the other end of a bridge: `eventlog:/DIR#TOPIC`. Exactly once, both ways."""
