"""The service: it takes orders over HTTP and appends them to a store that it has open, and serves to Kafka's clients.

Run by `uvicorn examples.mixed.service:app`, with the directory in `EVENTLOG_STORE`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request

import eventlog.aio

TOPIC = "orders"
GROUP = "billing"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The store is open, and served, for as long as the service runs."""
    async with (
        eventlog.aio.open(os.environ["EVENTLOG_STORE"]) as log,
        log.serve(port=int(os.environ.get("KAFKA_PORT", "0"))) as server,
        log.producer() as producer,
    ):
        app.state.log, app.state.server, app.state.producer = log, server, producer
        yield


async def post_order(request: Request, wait: float = 0.0) -> dict[str, Any]:
    """Append an order, whose customer is in the query. With `wait`, tell whether it was billed within so many seconds: the
    consumer's commit, in whatever language it is written, acknowledges the order."""
    customer = request.query_params.get("customer", "unknown")
    receipt = await request.app.state.producer.send(TOPIC, await request.body(), key=customer.encode())
    is_billed = await receipt.wait_acked(GROUP, timeout=wait) if wait > 0 else await receipt.is_acked(GROUP)
    return {"partition": receipt.partition, "offset": receipt.offset, "billed": is_billed}


async def get_bootstrap(request: Request) -> dict[str, Any]:
    """Where Kafka's clients connect."""
    return {"bootstrap": request.app.state.server.bootstrap}


async def get_lag(request: Request) -> dict[str, Any]:
    """How many orders each group has not acknowledged yet."""
    lags = await request.app.state.log.lags()
    return {group: sum(lag or 0 for lag in of_group.values()) for group, of_group in lags.items()}


app = FastAPI(lifespan=lifespan)
app.add_api_route("/orders", post_order, methods=["POST"])
app.add_api_route("/bootstrap", get_bootstrap)
app.add_api_route("/lag", get_lag)
