"""RabbitMQ, and what else speaks AMQP 0-9-1, by pika: records to an exchange or a queue, and a queue's messages to a topic.

`tables` and `properties` are the encoding of what a message carries beside its body, `publishing` and `deliveries` are messages
of records and of deliveries, `wire` and `connection` are a connection that is driven by its user, and `sink` and `source` are
the ends."""
