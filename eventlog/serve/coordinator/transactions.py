"""InitProducerId: ids for idempotent producers."""

from __future__ import annotations

from typing import Any

from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.protocol.messages import kind

NO_PRODUCER = -1


async def answer_init_producer_id(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """An id for an idempotent producer. A producer that already has an id gets a new one, and starts again with it."""
    answer = kind("InitProducerIdResponse")
    if request.transactional_id is not None:
        return answer(error_code=errors.UNSUPPORTED_VERSION, producer_id=NO_PRODUCER, producer_epoch=-1)
    return answer(producer_id=await broker.in_thread(broker.log.open_transactions.producer_ids.new), producer_epoch=0)
