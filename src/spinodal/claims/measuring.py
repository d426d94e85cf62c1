"""Measuring claims one after the other, each kept before the next is begun."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from spinodal.claims.claim import UNMEASURED, Claim, Measured
from spinodal.claims.page import page
from spinodal.claims.workshop import Workshop
from spinodal.errors import SpinodalError, refusing
from spinodal.files import write_whole, writing

KEPT = "claims.json"
Records = dict[int, Mapping[str, Any]]


def measure(
    claims: Iterable[Claim], shop: Workshop, *, resume: bool = False, tell: Callable[[str], None] = lambda text: None
) -> Records:
    """Measure claims, write `claims.json` and `claims.md` after each, and return the records.

    Rows that were measured before stay as they are, unless they are measured again; with `resume` only those are measured that
    are missing, or were not measured in full where that is asked for.
    """
    records = kept(shop.folder)
    for claim in claims:
        if not (resume and _is_known(claim, records.get(claim.number), shop)):
            tell(f"{claim.number}. {claim.text}")
            records[claim.number] = _measured(claim, shop)
            _write(records, shop.folder)
        tell(f"   {records[claim.number]['verdict']}: {records[claim.number]['text']}")
    _write(records, shop.folder)
    return records


def kept(folder: Path) -> Records:
    """Return what was measured before; nothing where there is none.

    Raises
    ------
    SpinodalError
        For a file that cannot be read.
    """
    path = folder / KEPT
    if not path.exists():
        return {}
    allowed, do = "what `spinodal claims` wrote is allowed", "remove it, and measure again"
    with refusing((OSError, ValueError, AttributeError), f"{path} cannot be read", allowed=allowed, do=do):
        return {int(number): record for number, record in json.loads(path.read_text(encoding="utf-8")).items()}


def _is_known(claim: Claim, record: Mapping[str, Any] | None, shop: Workshop) -> bool:
    if record is None:
        return False
    return not (claim.is_long and shop.is_full and (not record["full"] or record["verdict"] == UNMEASURED))


def _measured(claim: Claim, shop: Workshop) -> dict[str, Any]:
    began = time.process_time()
    try:
        found = claim.measure(shop)
    except SpinodalError as cause:  # one row that cannot be measured costs no other
        found = Measured(f"Not measured: {cause}.", UNMEASURED)
    return {**found.to_dict(), "full": claim.is_long and shop.is_full, "seconds": round(time.process_time() - began, 1)}


def _write(records: Records, folder: Path) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / KEPT, json.dumps(dict(sorted(records.items())), indent=1, default=str) + "\n")
        write_whole(folder / "claims.md", page(records))
