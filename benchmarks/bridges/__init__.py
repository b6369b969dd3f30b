"""How fast bridges to and from other systems are beside the clients of these systems alone."""
