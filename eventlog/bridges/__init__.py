"""Bridges between a topic and another system: RabbitMQ, ActiveMQ, Kafka, or another store.

`ship` takes records out of a topic, as a member of a consumer group, and gives them to a `Sink`; `collect` takes messages from
a `Source` and appends them. `endpoints` says what a sink and a source have to do, and `systems` finds those of a URL. Clients
of other systems are imported only when a URL asks for them.
"""
