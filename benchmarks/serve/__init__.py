"""`eventlog serve` beside Apache Kafka: the same clients, the same requests, and what each server takes for them."""
