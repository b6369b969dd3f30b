"""Tasks of an event loop, for tests of what they do to one another."""

from __future__ import annotations

import asyncio


async def one_turn() -> None:
    """Let the event loop run everything that is ready."""
    turned = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turned.set_result, None)
    await turned
