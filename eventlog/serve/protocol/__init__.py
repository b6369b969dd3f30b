"""The bytes of Kafka's protocol: messages, their headers, and frames. Nothing here uses a store or a socket."""
