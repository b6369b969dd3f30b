"""What other threads, and signal handlers, ask of the thread that uses a consumer: to be woken, or to come to an end."""

from __future__ import annotations

from eventlog.errors import WakeupError
from eventlog.waiting import Flag, Signals, WaitSet


class Requests:
    """`wake_up` and `stop` may be called anywhere, at any moment. `is_stopped` says whether `stop` was called."""

    def __init__(self, name: str) -> None:
        self.is_stopped = False
        self._name = name
        self._is_wakeup_due = False

    @property
    def is_due(self) -> bool:
        """Does `ends` have to be asked?"""
        return self._is_wakeup_due or self.is_stopped

    def wake_up(self) -> None:
        """Let the next call of `ends` raise `WakeupError`."""
        self._is_wakeup_due = True

    def stop(self) -> None:
        """Let `ends` be True from now on."""
        self.is_stopped = True

    def ends(self) -> bool:
        """Was `stop` called? Raises `WakeupError`, once for all calls of `wake_up` before."""
        if self._is_wakeup_due:
            self._is_wakeup_due = False
            raise WakeupError(f"{self._name} was woken by wakeup(); nothing was lost, and the next poll goes on")
        return self.is_stopped


class Interruption(Requests):
    """Requests that end a wait, too."""

    def __init__(self, signals: Signals, name: str) -> None:
        super().__init__(name)
        self._flag = Flag(signals)
        self._seen = 0

    def wake_up(self) -> None:
        """Let the next call of `ends` raise `WakeupError`, and end a wait."""
        super().wake_up()
        self._flag.raise_()

    def stop(self) -> None:
        """Let `ends` be True from now on, and end a wait."""
        super().stop()
        self._flag.raise_()

    def ends(self) -> bool:
        """As `Requests.ends`."""
        self._seen = self._flag.raised  # first: whatever is asked from now on ends the next wait
        return super().ends()

    def add_to(self, wait_set: WaitSet) -> None:
        """Let the set wait for what is asked after the last call of `ends`."""
        wait_set.add_flag(self._flag, self._seen)
