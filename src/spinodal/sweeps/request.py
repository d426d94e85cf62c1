"""What a point is known by: the request that it answers, whenever and wherever that was computed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import blake2b

from spinodal.codec import Record


@dataclass(frozen=True)
class Request(Record):
    """A point that is asked for.

    Attributes
    ----------
    verb : {"find", "follow", "reach", "finish"}
    value : float
        Of the control.
    origin : str or None
        The key of the point that it is followed from; None for a fresh start.
    part : str
        The part of the work, in itself one after the other, that asks for it: "walk", "phase 1 down", ...
    turn : int
        How often the same part has asked the same before. Default 0.

    Examples
    --------
    >>> first = Request("find", 0.1, None, "walk")
    >>> first.key == Request("find", 0.1, None, "walk").key, first.key == Request("find", 0.2, None, "walk").key
    (True, False)
    """

    verb: str
    value: float
    origin: str | None
    part: str
    turn: int = 0

    @property
    def key(self) -> str:
        """Return 16 hexadecimal digits, the same for the same request."""
        return blake2b(json.dumps(list(asdict(self).values())).encode(), digest_size=8).hexdigest()
