"""One connection: its requests are answered one after the other, in order, and read no faster than they are answered."""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from eventlog.serve.errors import DisconnectError
from eventlog.serve.memory import RequestMemory
from eventlog.serve.protocol.frames import BUFFER_BYTES, FrameReader
from eventlog.serve.protocol.messages import MalformedMessageError

if TYPE_CHECKING:
    from eventlog.serve.security.session import Session

_UNSENT_BYTES_MAX = 1024 * 1024
_JOINED_BYTES_MAX = 64 * 1024  # the limit for answers that are sent together
_TURN_REQUESTS = 32  # answered before other connections get a turn
_AT_ONCE_MAX = 256  # as above, of those that need no task: they take a tenth of the time

log = logging.getLogger("eventlog.serve")

Answer = Callable[["Connection", memoryview], Awaitable[list[Any] | None]]
"""Answers a frame with the pieces of another frame; None if the client wants no answer. Raises `MalformedMessageError`, and
`DisconnectError` if the client is to be disconnected."""


AnswerAtOnce = Callable[["Connection", memoryview], bytes | None]
"""Answers a frame if nothing has to be waited for; with no bytes if the client wants no answer. None: `Answer` has to do it."""


AnswerTogether = Callable[["Connection", memoryview, int], tuple[int, bytes]]
"""Answers frames at the start of a buffer, none of them larger than a number of bytes; returns how many bytes they were, with
their lengths, and the answers."""


class Limits(NamedTuple):
    """The limits of what clients may use of the server."""

    connections_max: int = 1000
    request_bytes_max: int = 100 * 1024 * 1024  # Kafka's socket.request.max.bytes
    memory_bytes_max: int = 64 * 1024 * 1024  # for all requests that have arrived in part
    idle_seconds: float = 600.0  # Kafka's connections.max.idle.ms
    stalled_seconds: float = 30.0  # without a byte of a request, or of an answer, that has begun
    newcomers_max: int = 200  # connections before the end of TLS's handshake and of authentication, if there are any
    newcomer_seconds: float = 10.0
    idle_partition_seconds: float = 60.0  # after which the files of a partition are closed until they are needed again


class Connection(asyncio.BufferedProtocol):
    """A client's connection. `answer` is called with one frame at a time, unless `answer_at_once` could answer it."""

    def __init__(
        self,
        answer_together: AnswerTogether,
        answer_at_once: AnswerAtOnce,
        answer: Answer,
        memory: RequestMemory,
        limits: Limits,
        opened: Callable[[Connection], bool],
        closed: Callable[[Connection], None],
    ) -> None:
        """`opened` returns whether the connection is accepted; `closed` is called when an accepted one has ended."""
        self._answer_together = answer_together
        self._answer_at_once = answer_at_once
        self._answer = answer
        self._memory = memory
        self._opened = opened
        self._closed = closed
        self._frames = FrameReader(limits.request_bytes_max, self._may_take)
        self._limits = limits
        self._task: asyncio.Task[None] | None = None
        self._came = asyncio.Event()
        self._is_waiting = False  # its task waits for a frame, and for nothing else
        self._begun: memoryview | None = None  # a frame that could not be answered at once
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._unsent: list[Any] = []
        self._unsent_bytes = 0
        self._when_sent: list[Callable[[], None]] = []
        self._is_read = True
        self._is_answering = False
        self._is_stopping = False
        self._is_ended = False  # the client sends nothing more
        self._has_hung_up = False  # the client has ended the connection behind requests that are not read yet
        self._is_lost = False  # nothing can be sent to the client
        self._is_done = False  # its task has ended
        self._progress: tuple[int, int] = (0, 0)
        self._progress_at = 0.0
        self.has_failed = False  # it was closed because of what the client sent
        self.peer = "?"
        self.local_address: tuple[str, int] = ("", 0)
        self.session: Session | None = None  # of a client that has to authenticate

    _transport: asyncio.Transport

    @property
    def descriptor(self) -> int:
        """The descriptor of its socket; -1 if it is closed."""
        connected = self._transport.get_extra_info("socket")
        return -1 if connected is None else int(connected.fileno())

    # --- what asyncio calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to answer, unless there are too many connections."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not peer or not local or not self._opened(self):
            transport.abort()
            return
        self.peer = f"{peer[0]}:{peer[1]}"
        self.local_address = (local[0], local[1])
        transport.set_write_buffer_limits(high=_UNSENT_BYTES_MAX)
        loop = asyncio.get_running_loop()
        self._progress_at = loop.time()
        self._task = loop.create_task(self._run())

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer for the next bytes."""
        return self._frames.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived. If there is no room for more, reading pauses until the frames in the buffer are answered."""
        self._frames.received(nbytes)
        if self._is_waiting and self._may_write.is_set() and self._answer_all_at_once():
            return
        if not self._frames.room():
            self._read(False)
        self._wake()

    def eof_received(self) -> bool:
        """The client sends nothing more. What it has sent is still processed: it may have asked for no answer, and left."""
        self._is_ended = True
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._is_lost = True
        self.eof_received()
        self._may_write.set()
        self._leave()

    def pause_writing(self) -> None:
        """The client does not read its answers: its next request waits."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._may_write.set()

    # --- requests ----------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Let the task go on with the frames in the buffer."""
        self._is_waiting = False
        self._came.set()

    def _answer_all_at_once(self) -> bool:
        """Answer what is in the buffer without the task. False if something is left for it."""
        try:
            consumed, answers = self._answer_together(self, self._frames.unread(), self._frames.request_bytes_max)
            if consumed:
                self._frames.skip(consumed)
                self._unsent.append(answers)
            for _ in range(_AT_ONCE_MAX):
                frame = self._frames.next()
                if frame is None:
                    return len(self._frames.room()) > 0
                answer = self._answer_at_once(self, frame)
                if answer is None:
                    self._begun = frame
                    return False
                self._unsent.append(answer)
        except MalformedMessageError:
            pass  # the task gets it, too
        finally:
            self._flush()
        return False

    async def _run(self) -> None:
        answered = 0
        try:
            while (frame := await self._next()) is not None:
                self._is_answering = True
                answer = self._answer_at_once(self, frame)
                pieces = await self._answer(self, frame) if answer is None else [answer]
                if pieces is not None:
                    self._send(pieces)
                self._is_answering = False
                answered += 1
                if answered % _TURN_REQUESTS == 0:
                    await asyncio.sleep(0)
        except (MalformedMessageError, DisconnectError) as error:
            self.has_failed = True
            log.warning("%s: closed: %s", self.peer, error)
        except Exception as error:  # a bug in this server: the client only sees the connection end
            self.has_failed = True
            shows_where = log.isEnabledFor(logging.DEBUG)
            log.error("%s: closed: unexpected %s: %s", self.peer, type(error).__name__, error, exc_info=shows_where)
        finally:
            self._flush()
            self._call_when_sent()
            self._transport.close()
            self._memory.give_back(self)
            self._is_done = True
            self._leave()

    def _send(self, pieces: list[Any]) -> None:
        """Send an answer, together with those that follow before the event loop runs anything else."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += pieces
        self._unsent_bytes += len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if self._unsent_bytes > _JOINED_BYTES_MAX:
            self._flush()

    def _flush(self) -> None:
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        if unsent and not self._transport.is_closing():
            self._transport.writelines(unsent)

    def _leave(self) -> None:
        if self._is_done and self._is_lost:
            self._begun = None
            self._frames.release()
            self._closed(self)

    async def _next(self) -> memoryview | None:
        """The next frame, once the client has read its answers; None when it sends no more, or the server stops."""
        while not self._is_stopping:
            if not self._may_write.is_set():
                await self._may_write.wait()
            if self._when_sent:
                self._call_when_sent()
            frame, self._begun = self._begun or self._frames.next(), None
            if frame is not None:
                return frame
            if self._is_ended:
                break
            self._came.clear()
            if self._frames.room():
                self._read(True)
            self._flush()
            self._is_waiting = True
            await self._came.wait()
        return None

    def limit_requests(self, bytes_max: int) -> None:
        """From the next request on, larger ones end the connection. Tokens of a client that authenticates may be very short."""
        self._frames.request_bytes_min = 1
        self._frames.request_bytes_max = bytes_max

    def is_ended(self) -> bool:
        """Has the client ended the connection, so that it no longer waits for an answer?"""
        return self._is_ended or self._has_hung_up

    def when_sent(self, function: Callable[[], None]) -> None:
        """Call a function once the client has read most of the answer that is being made, or has disconnected."""
        self._when_sent.append(function)

    def _call_when_sent(self) -> None:
        while self._when_sent:
            self._when_sent.pop()()

    def _may_take(self, size: int) -> bool:
        if size <= BUFFER_BYTES:
            self._memory.give_back(self)
            return True
        return self._memory.take(self, size, self._wake)

    def _read(self, is_read: bool) -> None:
        if is_read != self._is_read and not self._transport.is_closing():
            self._is_read = is_read
            if is_read:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # --- life --------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Finish the answer in progress, and close."""
        self._is_stopping = True
        self._wake()

    def abort(self) -> None:
        """Close immediately."""
        self._transport.abort()

    def _find_hang_up(self) -> None:
        """While nothing is read, asyncio does not notice that the client has ended the connection."""
        descriptor = self.descriptor
        if descriptor >= 0:
            poller = select.poll()
            poller.register(descriptor, select.POLLRDHUP)
            self._has_hung_up = bool(poller.poll(0))

    def check_progress(self, now: float) -> None:
        """Close the connection if the client has sent nothing, or read nothing, for too long."""
        if self._is_answering and not self._is_read:
            self._find_hang_up()
        unsent = self._transport.get_write_buffer_size()
        progress = (self._frames.total_bytes, unsent)
        if progress != self._progress or (self._is_answering and not unsent):
            self._progress, self._progress_at = progress, now
            return
        is_within = unsent > 0 or self._frames.has_begun
        seconds = self._limits.stalled_seconds if is_within else self._limits.idle_seconds
        if now - self._progress_at >= seconds:
            log.info("%s: closed: %s for %.0f s", self.peer, "stuck in a message" if is_within else "idle", seconds)
            self._transport.abort()
