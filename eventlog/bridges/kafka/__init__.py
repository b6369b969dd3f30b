"""Apache Kafka, or what speaks its protocol, as one end of a bridge: exactly once, over librdkafka."""
