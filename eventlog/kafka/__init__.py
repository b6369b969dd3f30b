"""A cluster of Apache Kafka behind `eventlog.contract`, by confluent-kafka: what `eventlog.open("kafka://…")` opens."""
