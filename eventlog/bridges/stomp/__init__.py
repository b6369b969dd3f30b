"""ActiveMQ Classic and Artemis, by STOMP 1.2, without a client library.

`frames` is the format, `connection` a logged-in connection, `destination` what a URL says, `mapping` which header of a message
stands for what of a record, `sink` the way there, and `source` the way back."""
