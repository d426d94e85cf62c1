"""How long a command may go on: after that it is interrupted as Ctrl-C does it, and keeps what it has."""

from __future__ import annotations

import signal
from _thread import interrupt_main
from threading import Timer, current_thread, main_thread


class TimeLimit:
    """Interrupts the main thread after so many minutes, unless it is left before; None: never.

    A shell starts what it puts into the background with interrupts ignored. They go on being ignored; the limit's own is not.
    """

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.is_over, self._heeds = minutes, False, False
        self._timer = None if minutes is None else Timer(60.0 * minutes, self._end)

    def __enter__(self) -> TimeLimit:
        if self._timer is not None:
            if current_thread() is main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
                self._heeds = signal.signal(signal.SIGINT, self._heed) is signal.SIG_IGN
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._heeds:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    @property
    def cause(self) -> str:
        """Return why the command was interrupted, in words."""
        return f"{self.minutes:g} minutes are over" if self.is_over else "interrupted"

    def _end(self) -> None:
        self.is_over = True
        interrupt_main()

    def _heed(self, *_: object) -> None:
        """Interrupt when the time is over, and only then."""
        if self.is_over:
            raise KeyboardInterrupt
