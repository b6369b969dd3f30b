"""Topics with their settings, records and groups, from a Kafka cluster to a store or the other way, for as long as wanted."""
