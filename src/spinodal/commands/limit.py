"""How long a command may go on: after that it is interrupted as Ctrl-C does it, and keeps what it has."""

from __future__ import annotations

from _thread import interrupt_main
from threading import Timer


class TimeLimit:
    """Interrupts the main thread after so many minutes, unless it is left before; None: never."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.is_over = minutes, False
        self._timer = None if minutes is None else Timer(60.0 * minutes, self._end)

    def __enter__(self) -> TimeLimit:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @property
    def cause(self) -> str:
        """Return why the command was interrupted, in words."""
        return f"{self.minutes:g} minutes are over" if self.is_over else "interrupted"

    def _end(self) -> None:
        self.is_over = True
        interrupt_main()
