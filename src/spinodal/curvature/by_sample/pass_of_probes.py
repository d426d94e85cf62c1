"""What one pass of probes over the samples says of the trace of H."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from spinodal.curvature.deflation import Deflation


class PassOfProbes(NamedTuple):
    """One unbiased estimate of tr H.

    Attributes
    ----------
    whole : float
        Of tr H.
    residual : float or None
        Of `tr (H - GGN)` by the same probes, where it is known apart: for whoever knows tr GGN exactly.
    """

    whole: float
    residual: float | None


class Passes(Protocol):
    """A way to estimate tr H by passes over the samples, each with fresh probes."""

    @property
    def sees_all(self) -> bool:
        """Tell whether passes do not depend on what is deflated."""
        ...

    @property
    def outputs(self) -> int | None:
        """Return the outputs of the model for each sample, where the residual part is seen apart."""
        ...

    def trace(self, known: Deflation) -> PassOfProbes:
        """Return the estimate of one pass, given what is known exactly; it counts as one product."""
        ...
