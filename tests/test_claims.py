"""Claims of the literature: every row is there, measured ones are written by the command, and stopping costs nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import spinodal.claims.linear as linear
from documents import DOCS
from spinodal.claims.claim import CONTRADICTED, HOLDS, PARTLY, SOURCES, UNMEASURED, UNSEEN, Claim, Measured, verdict
from spinodal.claims.measuring import kept, measure
from spinodal.claims.page import page
from spinodal.claims.rows import CLAIMS, chosen
from spinodal.claims.workshop import Workshop, linear_task
from spinodal.errors import SpinodalError
from test_cli import Command, command  # noqa: F401 - the fixture

VERDICTS = {HOLDS, PARTLY, CONTRADICTED, UNSEEN, UNMEASURED}


def test_every_claim_has_its_row_and_its_source() -> None:
    assert [claim.number for claim in CLAIMS] == list(range(1, 23))
    assert all(set(claim.source.split()) <= set(SOURCES) for claim in CLAIMS)
    assert all(claim.command.startswith("spinodal ") for claim in CLAIMS)


def test_the_page_is_what_was_measured_and_nothing_by_hand() -> None:
    records = kept(DOCS)
    assert (DOCS / "claims.md").read_text(encoding="utf-8") == page(records)
    assert {record["verdict"] for record in records.values()} <= VERDICTS
    for record in records.values():
        assert not record["figure"] or (DOCS / "figures" / record["figure"]).exists()


def test_a_row_is_measured_by_its_command(command: Command) -> None:  # noqa: F811
    done = command("claims", "--only", "3", "--json", "row.json")
    assert (done.code, done.err) == (0, "")
    assert "1 claims: 1 holds" in done.out
    assert "0 transitions between beta = 0.001 and 10" in Path("claims/claims.md").read_text()
    record = json.loads(Path("row.json").read_text())["3"]
    assert (record["verdict"], record["values"]) == (HOLDS, {"transitions": 0})
    again = command("claims", "--only", "3", "--resume", "--json", "again.json")
    assert again.code == 0
    assert json.loads(Path("again.json").read_text())["3"] == record  # seconds and all
    refused = command("claims", "--only", "99")
    assert refused.code == 2
    assert "claim 99; numbers from 1 to 22 are allowed" in refused.err
    assert "--only 'two'" in command("claims", "--only", "two").err


def test_the_order_of_the_onset_is_measured_against_its_closed_form(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, runs=tmp_path / "runs")
    diagram = shop.map(linear_task(2), starts=1, beta=(0.45, 1.0))
    assert shop.map(linear_task(2), starts=1, beta=(0.45, 1.0)) is diagram
    assert [item.order for item in diagram.macroscopic] == ["second", "second"]
    assert abs(diagram.macroscopic[-1].beta / linear_task(2).exact[-1].beta - 1.0) < linear.EXACT


def test_a_row_that_fails_costs_no_other_and_long_ones_are_measured_again_in_full(tmp_path: Path) -> None:
    made: list[int] = []

    def fails(shop: Workshop) -> Measured:
        raise SpinodalError("no minimum", "one is needed", "try another")

    def works(shop: Workshop) -> Measured:
        made.append(1)
        return Measured("one", HOLDS)

    rows = [Claim(1, "a", "A", "spinodal map", fails), Claim(2, "b", "B", "spinodal map", works, is_long=True)]
    records = measure(rows, Workshop(tmp_path))
    assert records[1]["verdict"] == UNMEASURED
    assert "no minimum" in records[1]["text"]
    measure(rows, Workshop(tmp_path), resume=True)
    assert len(made) == 1
    assert measure(rows, Workshop(tmp_path, is_full=True), resume=True)[2]["full"]
    assert len(made) == 2
    (tmp_path / "claims.json").write_text("{")
    with pytest.raises(SpinodalError, match="cannot be read"):
        measure(rows, Workshop(tmp_path))


def test_a_verdict_says_whether_all_part_or_nothing_holds() -> None:
    assert [verdict(True), verdict(False, partly=True), verdict(False)] == [HOLDS, PARTLY, CONTRADICTED]
    assert len(chosen([])) == len(CLAIMS)
