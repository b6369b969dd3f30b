"""Consumer groups without a coordinator."""
