"""A terminal whose keys come one by one, and which is as before whatever ends the program."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class _Ended(BaseException):
    """A signal that ends the program came; the screen is put back first."""


@contextmanager
def keyboard() -> Iterator[int | None]:
    """Let keys come one by one and unseen; yield their descriptor, None where there is no keyboard.

    Whatever ends the program, also SIGTERM and SIGHUP, the terminal is as before."""

    def end(number: int, frame: object) -> NoReturn:
        for each in _ENDING_SIGNALS:  # a second one must not come between what is put back
            signal.signal(each, signal.SIG_IGN)
        raise _Ended(number)

    handlers = {number: signal.signal(number, end) for number in _ENDING_SIGNALS}
    try:
        with _keys() as keys:
            yield keys
    except _Ended as ended:
        sys.stdout.flush()
        signal.signal(ended.args[0], signal.SIG_DFL)
        signal.raise_signal(ended.args[0])
        raise KeyboardInterrupt from None  # process 1 of a container does not die of that
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _keys() -> Iterator[int | None]:
    import termios
    import tty

    if not os.isatty(0):
        yield None
        return
    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0)
        yield 0
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
