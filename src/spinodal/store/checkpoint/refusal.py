"""The refusal of a file that is no checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinodal.errors import SpinodalError

ALLOWED = "safetensors, or torch.save(model.state_dict(), FILE), is allowed"
AGAIN = "write it again, or copy it again from where it is whole"


def refused(place: Path, why: str, do: str = "check the path") -> SpinodalError:
    """Return the refusal of a file, which it names."""
    return SpinodalError(got=f"{place} {why}", allowed=ALLOWED, do=do)


def line(cause: BaseException) -> str:
    """Return the message of an exception as one short line."""
    return " ".join(str(cause).split())[:200] or type(cause).__name__


@contextmanager
def opened(place: Path) -> Iterator[None]:
    """Refuse a file that the operating system does not give."""
    try:
        yield
    except FileNotFoundError as cause:
        raise refused(place, "is not there") from cause
    except OSError as cause:
        raise refused(
            place, f"cannot be read: {cause.strerror or line(cause)}", "check its permissions and the disk"
        ) from cause
