"""What `spinodal claims` does: measure claims of the literature, and write the page of what came out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from spinodal.claims.measuring import measure
from spinodal.claims.rows import chosen
from spinodal.claims.workshop import Workshop
from spinodal.commands.arguments import Form, console_for
from spinodal.commands.json_file import write_json_file
from spinodal.commands.threads import use_threads


def measure_claims(
    out: Path,
    only: str | None,
    *,
    is_full: bool,
    mnist: Path | None,
    resume: bool,
    threads: int,
    json_file: str | None,
    quiet: bool,
) -> None:
    """Measure the claims that are named, all of them for None, and say what came out."""
    claims = chosen(ONLY.given(only) or [])
    use_threads(threads or 1)
    console = console_for(json_file, quiet=quiet, soft_wrap=True)
    records = measure(claims, Workshop(out, is_full, mnist), resume=resume, tell=console.print)
    found = {claim.number: records[claim.number] for claim in claims}
    write_json_file(json_file, {str(number): record for number, record in found.items()})
    verdicts = Counter(record["verdict"] for record in found.values())
    console.print(f"{len(found)} claims: {', '.join(f'{count} {name}' for name, count in verdicts.items())}")
    console.print(f"page: {out / 'claims.md'}")


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


ONLY = Form("--only", _numbers, "numbers of claims with commas are allowed", "2,3")
