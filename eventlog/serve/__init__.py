"""A server that speaks Kafka's protocol over a store, for clients in any language.

`protocol` knows the bytes, `connection` and `server` the sockets, and the handlers, one file per family of APIs, what a request
means to the store: `requests` leads to them.
"""
