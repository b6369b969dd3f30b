"""ActiveMQ Classic and Artemis, by STOMP 1.2, without a client library.

`frames` is the format."""
