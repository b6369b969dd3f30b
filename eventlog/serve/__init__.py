"""A server that speaks Kafka's protocol over a store, for clients in any language.

`protocol` encodes and decodes messages, `connection` and `server` use the sockets, and the handlers, one file per family of
APIs, apply requests to the store; `requests` finds the handler of a request.
"""
