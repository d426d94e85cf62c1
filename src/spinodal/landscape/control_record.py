"""What a run keeps of its control: enough to say what L was, and to tell another control from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from spinodal.codec import Record, keyed
from spinodal.conventions import CONVENTION, is_l2
from spinodal.errors import SpinodalError
from spinodal.landscape.control import Control, Turned
from spinodal.landscape.penalty import Penalty


@dataclass(frozen=True)
class ControlRecord(Record):
    """A control in words and hashes.

    Attributes
    ----------
    name, convention, scale : str
        Of the value, of L in one line, and "log" or "linear".
    centre, mask : str or None
        SHA-256 of the numbers of the penalty's centre in double precision, and of its mask as truth values; None for the
        origin, for all parameters, and for another control.
    source : str or None
        Where the centre comes from.
    made : Control or None
        The control itself, where it is at hand.
    """

    name: str = "beta"
    convention: str = CONVENTION
    scale: str = "log"
    centre: str | None = None
    mask: str | None = None
    source: str | None = field(default=None, compare=False)
    made: Control | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, control: Control) -> ControlRecord:
        """Return the record of a control."""
        centre = mask = source = None
        if isinstance(control, Penalty):
            centre = digest(control.centre) if control.centre is not None and control.has_centre else None
            mask = None if control.mask is None else digest(control.mask != 0)
            source = control.source
        return cls(
            control.name,
            control.convention,
            control.axis.name,
            centre,
            mask,
            source,
            control.given if isinstance(control, Turned) else control,
        )

    @property
    def is_l2(self) -> bool:
        """Tell the L2 penalty, of which PyTorch's `weight_decay` is twice the value."""
        return is_l2(self.convention)

    def require_l2(self, what: str) -> None:
        """Refuse what is told in `weight_decay` for a map along another control."""
        if not self.is_l2:
            raise SpinodalError(
                got=f"{what} of a map along {self.name}, {self.convention}",
                allowed="those of maps along the L2 penalty are allowed: they are drawn over its weight_decay",
                do="read result.json, or the arrays of `to_xarray()`",
            )

    @property
    def described(self) -> str:
        """Return the control in words that tell it from others."""
        parts = [("centre", self.centre, self.source), ("mask", self.mask, None)]
        said = [f"{name} {value[:12]}{f' from {source}' if source else ''}" for name, value, source in parts if value]
        return ", ".join([self.convention, *said])

    def to_dict(self) -> dict[str, Any]:
        """Return the record in JSON types."""
        centre = None if self.centre is None else {"sha256": self.centre, "from": self.source}
        mask = None if self.mask is None else {"sha256": self.mask}
        return {**keyed(self, "name convention scale"), "centre": centre, "mask": mask}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], **aside: Any) -> Self:
        """Return what `to_dict` made a record of."""
        centre, mask = record["centre"], record["mask"]
        hashes = {"centre": centre and centre["sha256"], "mask": mask and mask["sha256"], "source": centre and centre["from"]}
        return super().from_dict({**record, **hashes}, **aside)


def digest(values: Tensor) -> str:
    """Return the SHA-256 of a vector's numbers.

    Examples
    --------
    >>> digest(torch.zeros(2)) == digest(torch.zeros(2, dtype=torch.float64))
    True
    """
    return hashlib.sha256(values.detach().to("cpu", torch.float64).contiguous().numpy().tobytes()).hexdigest()
