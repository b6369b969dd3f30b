"""The bytes of Kafka's protocol: messages, their headers, and frames. Nothing here knows a store or a socket."""
