"""One directory, four kinds of programs: a FastAPI service that has the store open, a consumer in Go, Kafka's own tools, and
`eventlog top`."""
