"""Consumer groups and transactions of clients: handlers of the APIs that a coordinator answers."""
