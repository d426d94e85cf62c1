"""The report: sentences, closed forms, escaping; one file, whole, that loads nothing."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import spinodal as sp
from diagrams import diagram, loop_coexistence, loop_curve, loop_diagram, transition
from spinodal.conventions import weight_decay
from spinodal.errors import SpinodalError
from spinodal.phases.envelope import Violation
from spinodal.phases.spinodals import Spinodal
from spinodal.phases.tree import Fall
from spinodal.report import answer_sentences, render, save_report
from spinodal.report.branch_rows import (
    branch_table,
    coexistence_table,
    existence_table,
    fall_table,
    special_point_table,
    spinodal_table,
)
from spinodal.report.certificates import certificate_sentences
from spinodal.report.closed_forms import compare
from spinodal.report.packed import unpacked
from spinodal.report.rows import MOST_MINOR, Table, minor_table, phase_table, transition_table
from spinodal.theory import ExactTransition
from spinodal.words.sentences import decay

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a report consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._within.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._within:
            self.scripts[-1] += data
        elif "style" not in self._within:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def data(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(unpacked(self.scripts[0]))
        return loaded


def page_of(made: sp.PhaseDiagram, **settings: Any) -> Page:
    return Page(render(made, **settings))


# -- sentences ------------------------------------------------------------------------------


def test_the_first_sentence_is_the_largest_weight_decay_before_the_first_loss() -> None:
    made = diagram(classes=3)
    first = min(made.macroscopic, key=lambda found: found.beta)
    sentence = answer_sentences(made)[0]
    assert sentence.startswith("Largest weight_decay before the first loss of accuracy at a transition: ")
    said = [float(text.strip("(). ")) for text in sentence.replace("(beta = ", " ").split() if text[0].isdigit()]
    assert said[0] == pytest.approx(2 * said[1])
    assert first.bracket[0] - 0.1 * (first.bracket[1] - first.bracket[0]) < said[1] <= first.bracket[0]


def test_the_classes_go_in_the_order_of_their_transitions() -> None:
    made = diagram(classes=4)
    places = [decay(step) for step in made.steps]
    assert f"First to go: class 3 at {places[0]}; next: class 2 at {places[1]}." in answer_sentences(made)


def test_without_classes_the_rank_takes_the_place_of_the_accuracy() -> None:
    text = " ".join(answer_sentences(diagram()))
    assert "before the first loss of rank at a transition" in text
    assert "First to go: rank 3 to 2 at" in text
    assert "next: rank 2 to 1 at" in text
    assert "accuracy" not in text


def test_a_long_cascade_is_not_recited_to_its_end() -> None:
    made = diagram(400, phases=20, classes=30)
    text = " ".join(answer_sentences(made))
    assert text.count("; next: ") == 7
    assert "; 11 more are in the table." in text


def test_what_falls_at_the_first_loss_is_said_with_its_numbers() -> None:
    text = " ".join(answer_sentences(diagram(classes=3)))
    assert (
        "There, at transition 1, the training accuracy falls from 90 % to 60 %, the rank falls from 3 to 2 and E goes" in text
    )


def test_a_decline_within_the_phase_is_not_passed_over() -> None:
    made = diagram(classes=2, phases=2, count=10)
    faded = []
    for item in made.points:
        accuracy = item.observation.accuracy["train"] if item.index != 4 else 0.7
        faded.append(replace(item, observation=replace(item.observation, accuracy={"train": accuracy, "held_out": None})))
    (found,) = made.transitions
    made = replace(made, points=tuple(faded), transitions=(replace(found, before=faded[4], after=faded[5]),))
    text = " ".join(answer_sentences(made))
    assert "the training accuracy falls from 90 % to 70 %, without such a loss" in text
    assert f"up to weight_decay = {weight_decay(faded[3].beta):.5g} it falls by less than 1 percentage point" in text


def test_a_continuous_transition_with_which_a_class_goes_is_a_loss() -> None:
    made = diagram(classes=3, phases=2)
    (found,) = made.transitions
    alike = replace(found.after, observation=replace(found.after.observation, accuracy=found.before.observation.accuracy))
    points = tuple(alike if item.index == alike.index else item for item in made.points)
    text = " ".join(answer_sentences(replace(made, points=points, transitions=(replace(found, after=alike),))))
    assert "before the first loss of accuracy at a transition" in text
    assert "the training accuracy stays at 90 %" in text


def test_a_map_whose_transitions_cost_no_accuracy_says_so() -> None:
    made = diagram(10, phases=2)
    points = tuple(
        replace(
            item,
            observation=replace(
                item.observation,
                accuracy={"train": 1.0, "held_out": None},
                class_accuracy={"train": (1.0, 1.0), "held_out": None},
            ),
        )
        for item in made.points
    )
    found = transition(points[4], points[5])
    sentences = answer_sentences(replace(made, points=points, transitions=(found,)))
    assert sentences[0] == "No transition lowers the accuracy."
    assert "the training accuracy stays at 100 %" in sentences[1]


def test_a_smooth_map_says_that_there_is_no_transition() -> None:
    (sentence,) = answer_sentences(diagram(phases=1))
    assert sentence.startswith(
        "No macroscopic transition between weight_decay = 0.02 and 2: the model changes smoothly; E goes"
    )


def test_a_map_that_lost_rank_without_a_transition_is_not_called_smooth() -> None:
    (sentence,) = answer_sentences(replace(diagram(phases=2), transitions=()))
    assert "smoothly" not in sentence
    assert "the rank falls from 3 to 2" in sentence


@pytest.mark.parametrize("phases", [1, 3])
def test_a_solver_that_sees_no_kinks_is_named(phases: int) -> None:
    sentences = answer_sentences(replace(diagram(phases=phases), solver="lbfgs"))
    assert sentences[-1] == "The solver lbfgs does not see kinks (second-order transitions): --solver newton_cg does."
    assert "smoothly" not in sentences[0]


@pytest.mark.parametrize("made", [diagram(matrices=()), diagram(matrices=(), downward=True), diagram(matrices=(), phases=1)])
def test_without_weight_matrices_no_rank_is_spoken_of(made: sp.PhaseDiagram) -> None:
    page = page_of(made)
    assert "rank" not in " ".join(answer_sentences(made))
    assert "rank" not in transition_table(made).headings + phase_table(made).headings
    assert "rank" not in [choice["key"] for figure in page.data["figures"] for choice in figure["choices"]]
    assert all(phase["rank"] is None for phase in page.data["phases"])
    assert all("rank" not in item["short"] + item["text"] for item in page.data["transitions"])


def test_one_point_is_a_map_of_one_point() -> None:
    assert diagram(1, phases=1).answer() == "The map has one point, beta = 0.01."
    (sentence,) = answer_sentences(diagram(1, phases=1))
    assert sentence.startswith("The map has one point, weight_decay = 0.02")


def test_a_downward_walk_does_not_claim_how_far_up_a_phase_lasts() -> None:
    text = " ".join(answer_sentences(diagram(classes=3, downward=True)))
    assert text.startswith("Walked downwards from weight_decay = 2")
    assert "Largest weight_decay" not in text
    assert "hysteresis" in text
    assert text.count("irst to appear: class 1 at") == 1


def test_what_keeps_a_map_from_being_the_whole_answer_is_said() -> None:
    made = replace(diagram(stop="iterations"), run_status="stopped at beta = 1")
    sentences = answer_sentences(made)
    assert "The map is not complete: stopped at beta = 1." in sentences
    (unconverged,) = [sentence for sentence in sentences if sentence.startswith("40 of 40 points did not converge")]
    assert "the iteration limit was reached" in unconverged


def test_minor_transitions_are_no_loss() -> None:
    text = " ".join(answer_sentences(diagram(phases=1, minor_every=4, classes=3)))
    assert text.startswith("No macroscopic transition")


@pytest.mark.parametrize("downward", [False, True])
def test_steps_look_towards_larger_beta_whichever_way_was_walked(downward: bool) -> None:
    found = diagram(classes=3, downward=downward).steps
    assert [step.number for step in found] == [1, 2]
    for step in found:
        assert step.low.beta < step.beta < step.high.beta
        assert step.ranks == (step.low.observation.rank, step.high.observation.rank)
        assert step.loses_rank
        assert len(step.lost) == 1
        assert step.gained == ()


def test_a_walk_given_up_behind_its_last_transition_is_reported_all_the_same() -> None:
    made = diagram(20, phases=2)
    lost = made.transitions[0].after
    kept = tuple(item for item in made.points if item.beta < lost.beta)
    made = replace(made, points=kept, run_status="stopped at beta = 0.1: no minimum")
    (step,) = made.steps
    assert step.ranks == (3, 3)
    assert "The map is not complete: stopped at beta = 0.1: no minimum." in page_of(made).text


# -- closed forms ---------------------------------------------------------------------------


def closed(beta: float, order: str = "first") -> ExactTransition:
    return ExactTransition(
        singular_value=2 * beta, order=order, beta=beta, coexistence=None if order == "second" else 0.9 * beta
    )


def test_closed_forms_stand_beside_the_nearest_transition() -> None:
    first, second = diagram().macroscopic
    made = diagram(exact=[closed(1.001 * second.beta), closed(0.999 * first.beta)])
    low, high = compare(made)
    assert (low.number, high.number) == (1, 2)
    assert low.difference == pytest.approx(0.001 * first.beta)
    assert high.relative == pytest.approx(-0.001 / 1.001)
    assert low.inside
    assert high.inside


def test_a_closed_form_without_a_transition_is_not_met() -> None:
    first, second = diagram().macroscopic
    made = diagram(exact=[closed(first.beta), closed(1.1 * first.beta), closed(second.beta)])
    assert [item.number for item in compare(made)] == [1, None, 2]
    assert "not met" in page_of(made).text


def test_a_walk_down_meets_no_end_of_a_live_branch() -> None:
    first, second = (found.beta for found in diagram().macroscopic)
    made = diagram(downward=True, exact=[closed(first), closed(second, "second")])
    assert [item.number for item in compare(made)] == [None, 2]


def test_a_closed_form_outside_the_bracket_is_said_to_be_outside() -> None:
    (found,) = diagram(phases=2).macroscopic
    (item,) = compare(diagram(phases=2, exact=[closed(1.5 * found.beta)]))
    assert item.inside is False
    assert item.difference == pytest.approx(-0.5 * found.beta)


# -- what the figures show --------------------------------------------------------------------


@pytest.mark.parametrize(("count", "said"), [(1, "the only point"), (100, "all 100 points"), (10_000, "all 10,000 points")])
def test_the_figures_show_every_point_and_say_so(count: int, said: str) -> None:
    page = page_of(diagram(count, phases=min(count, 3)))
    assert f"The figures show {said}." in page.text
    assert len(page.data["axis"]["beta"]) == count


# -- tables ---------------------------------------------------------------------------------


def test_transitions_stand_in_their_table_with_what_is_lost() -> None:
    made = diagram(classes=3)
    table = transition_table(made)
    rows = [dict(zip(table.headings, row, strict=True)) for row in table.rows]
    assert [row["rank"] for row in rows] == ["3 → 2", "2 → 1"]
    assert [row["classes lost"] for row in rows] == ["2", "1"]
    assert [row["accuracy"] for row in rows] == ["90 % → 60 %", "60 % → 30 %"]
    for row, found in zip(rows, made.macroscopic, strict=True):
        low, high = found.bracket
        assert float(row["half bracket"]) == pytest.approx((high - low) / 2, rel=0.5)
        assert float(row["β"]) == pytest.approx(found.beta, abs=(high - low) / 2)
        assert len(row["β"].lstrip("0.")) <= 2  # a bracket of 12 % does not tell more


def test_the_rank_of_a_transition_is_that_of_the_phases_on_both_sides() -> None:
    made = diagram(phases=2)
    (found,) = made.transitions
    faded = replace(found.before, observation=replace(found.before.observation, rank=2))
    points = tuple(faded if item.index == faded.index else item for item in made.points)
    made = replace(made, points=points, transitions=(replace(found, before=faded),))
    table = transition_table(made)
    assert table.rows[0][table.headings.index("rank")] == "3 → 2"
    assert page_of(made).data["transitions"][0]["short"].endswith("rank 3 → 2")


def test_only_the_largest_minor_transitions_are_listed_and_it_is_said() -> None:
    made = diagram(3 * MOST_MINOR, phases=1, minor_every=2)
    jumps = sorted(abs(found.after.error - found.before.error) for found in made.transitions)
    table = minor_table(made)
    assert len(table.rows) == MOST_MINOR < len(jumps)
    text = page_of(made).text
    assert f"{len(jumps)} minor transitions" in text
    assert f"The {MOST_MINOR} with the largest jumps of E are listed here" in text
    shown = [float(row[table.headings.index("β")]) for row in table.rows]
    largest = [item for item in made.transitions if abs(item.after.error - item.before.error) >= jumps[-MOST_MINOR]]
    for beta, found in zip(shown, sorted(largest, key=lambda item: item.beta), strict=True):
        assert found.bracket[0] <= beta <= found.bracket[1]


def test_what_a_task_does_not_have_gets_no_column() -> None:
    assert "accuracy" not in transition_table(diagram()).headings
    assert "classes lost" not in transition_table(diagram()).headings
    assert "closed form β" not in transition_table(diagram()).headings


# -- page -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(diagram(1, phases=1), id="one point"),
        pytest.param(diagram(5, phases=1, classes=2), id="no transitions"),
        pytest.param(diagram(classes=3, downward=True), id="downward"),
        pytest.param(diagram(margin=math.nan, stop="kink"), id="no margins"),
        pytest.param(diagram(margin=math.inf, matrices=()), id="no matrices"),
        pytest.param(diagram(minor_every=2, exact=[closed(0.1)]), id="minor ones and a closed form"),
    ],
)
def test_the_page_holds_its_sentences_and_its_data(made: sp.PhaseDiagram) -> None:
    page = page_of(made)
    for sentence in answer_sentences(made):
        assert sentence in page.text
    data = page.data
    assert data["axis"]["beta"] == sorted(item.beta for item in made.points)
    assert len(data["transitions"]) == len(made.macroscopic)
    assert len(data["phases"]) == len(made.phases)
    assert all(len(column["cells"]) == len(made.points) for column in data["columns"])
    keys = [choice["key"] for figure in data["figures"] for choice in figure["choices"]]
    has_accuracy = made.points[0].observation.accuracy["train"] is not None
    assert keys[:2] == (["error", "accuracy"] if has_accuracy else ["error", "norm"])
    assert ("recall" in keys) == (made.points[0].observation.class_accuracy["train"] is not None)


def test_every_value_of_a_point_is_there_to_be_shown() -> None:
    made = diagram(3, phases=1, classes=2, custom={"alignment": 0.25})
    columns = {column["name"]: column["cells"] for column in page_of(made).data["columns"]}
    item = made.points[1]
    assert columns["point"][1] == "1"
    assert float(columns["β"][1]) == pytest.approx(item.beta, rel=1e-6)
    assert float(columns["weight_decay"][1]) == pytest.approx(2 * item.beta, rel=1e-6)
    assert float(columns["E"][1]) == pytest.approx(item.error, rel=1e-4)
    assert float(columns["L"][1]) == pytest.approx(item.minimum.loss, rel=1e-4)
    assert float(columns["‖θ‖"][1]) == pytest.approx(item.observation.norm, rel=1e-4)
    assert columns["margin"][1] == "0.1"
    assert columns["residual"][1] == "1e-09"
    assert columns["rank"][1] == "3"
    assert columns["ranks"][1] == "0.weight 3, 2.weight 3"
    assert columns["accuracy, training data"][1] == "90 %"
    assert columns["alignment"][1] == "0.25"
    assert columns["status"][1].startswith("converged")


def test_nothing_is_loaded_from_anywhere() -> None:
    page = page_of(diagram(classes=3))
    policy = next(at["content"] for _, at in page.tags if at.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    for tag, attributes in page.tags:
        assert "src" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("href") or "#").startswith(("#", "data:,")), tag
    style = re.search(r"<style>(.*?)</style>", render(diagram()), re.DOTALL)
    assert style is not None
    assert "url(" not in style.group(1)
    assert "@import" not in style.group(1)


def test_texts_of_others_are_escaped() -> None:
    made = diagram(classes=2, custom={EVIL: 1.0}, name=EVIL, matrices=("</script><img src=x onerror=alert(2)>",))
    plain = page_of(diagram(classes=2, custom={"a": 1.0}, matrices=("b",)), provenance={"host": {"c": "d"}})
    page = page_of(made, provenance={EVIL: EVIL, "host": {EVIL: [EVIL, 1]}})
    assert len(page.scripts) == len(plain.scripts) == 3
    assert [tag for tag, _ in page.tags].count("img") == 0
    assert f"Phases of {EVIL}" in page.text
    assert not set("<>&") & set(page.scripts[0])
    assert EVIL in [column["name"] for column in page.data["columns"]]


def test_names_that_no_encoding_knows_are_written_with_a_mark_in_their_place(tmp_path: Path) -> None:
    path = save_report(diagram(5, name="\udc80.py:task"), tmp_path / "report.html")
    assert "Phases of ?.py:task" in path.read_text(encoding="utf-8")


def test_provenance_and_settings_are_listed_as_they_are() -> None:
    made = replace(diagram(), task={"name": "by hand", "hidden": [16, 8], "nested": {"deep": {"a": None}}})
    page = page_of(made, provenance={"python": "3.11.7", "packages": {"torch": "2.4"}, "options": {"starts": 4}})
    for words in ("hidden 16 8", "nested: deep a –", "run python 3.11.7", "packages torch 2.4", "options starts 4"):
        assert words in page.text


def test_the_settings_of_a_run_do_not_repeat_its_task() -> None:
    made = replace(diagram(), task={"name": "by hand", "hidden": [16, 8]})
    text = page_of(made, provenance={"settings": {"task": made.task, "map": {"starts": 4}}}).text
    assert text.count("hidden 16 8") == 1
    assert "settings: map starts 4" in text


def test_placed_models_stand_below_the_answer_and_are_escaped() -> None:
    placements = [{"file": EVIL, "answer": "In phase 1 of 3. <b>Next</b>."}, {"file": "b.safetensors", "answer": "Too deep."}]
    page = page_of(diagram(), placements=placements)
    assert f"{EVIL} : In phase 1 of 3. <b>Next</b>." in page.text
    assert "b.safetensors : Too deep." in page.text
    assert len(page.scripts) == 3


def test_the_cost_is_told() -> None:
    text = page_of(diagram()).text
    for words in (
        "solver newton",
        "gradient evaluations 1,234",
        "Hessian products 56",
        "seconds 1.5",
        "gradient-equivalents 1,374",
    ):
        assert words in text


def test_the_file_is_written_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    assert save_report(diagram(), path) == path
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.rstrip().endswith("</html>")
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpinodalError, match=r"report\.html cannot be written"):
        save_report(diagram(), tmp_path / "nowhere" / "report.html")


def test_a_report_needs_no_model() -> None:
    made = diagram(classes=3)
    points = tuple(replace(item, minimum=replace(item.minimum, theta=None), tangent=None) for item in made.points)  # type: ignore[arg-type]
    bare = {item.index: item for item in points}
    found = tuple(replace(t, before=bare[t.before.index], after=bare[t.after.index]) for t in made.transitions)
    assert render(replace(made, points=points, transitions=found)) == render(made)


def test_a_real_map_is_reported_beside_its_closed_form() -> None:
    made = sp.map_phases(sp.tasks.gaussian(activation="linear", hidden=(3, 3), samples=40), bracket=1e-3)
    assert [item.number for item in compare(made)] == [1, 2]
    assert all(item.inside for item in compare(made))
    assert all(abs(item.relative or 1.0) < 1e-3 for item in compare(made))
    assert "Closed forms beside the measurement" in page_of(made).text


# -- branches and loops ---------------------------------------------------------------------


def cells(table: Table) -> list[dict[str, str]]:
    return [dict(zip(table.headings, row, strict=True)) for row in table.rows]


def test_a_map_without_branches_and_way_back_has_none_of_their_sections() -> None:
    made = diagram(classes=3)
    bracketed = Spinodal(made.transitions[0].beta, 0, "upper", None, "bracketed")
    page = page_of(replace(made, tree=(Fall(0, 1, bracketed.beta, "up"),), spinodals=(bracketed,)))
    sections = {attributes.get("id") for tag, attributes in page.tags if tag == "section"}
    assert not sections & {"spinodals", "coexistence", "branches", "way-back"}
    assert {figure["kind"] for figure in page.data["figures"]} == {"curves", "recall"}
    assert not {"Ranges of existence", "Falls"} & set(page.words)


def test_a_loop_with_branches_has_all_of_them() -> None:
    page = page_of(loop_diagram())
    sections = {attributes.get("id") for tag, attributes in page.tags if tag == "section"}
    assert sections >= {"spinodals", "coexistence", "branches", "way-back"}
    kinds = [figure["kind"] for figure in page.data["figures"]]
    assert kinds[-2:] == ["branches", "tree"]
    for words in ("Ranges of existence", "Falls", "The loop encloses ∮‖θ‖²dβ = 0.0864"):
        assert words in page.text


def test_the_answer_says_where_the_deepest_phase_becomes_metastable_and_what_the_way_back_meets() -> None:
    text = " ".join(answer_sentences(loop_diagram()))
    met = f"weight_decay = {2 * loop_coexistence():.7g} (beta = {loop_coexistence():.7g})"
    assert text.startswith(f"The followed phase (rank 3) is the deepest known up to {met}, where phase 1 is as deep; ")
    assert "metastable from there, it ends at weight_decay = 0.46400" in text
    assert "On the way back, the transitions are at weight_decay = 0.336000" in text


def test_a_way_back_on_which_nothing_comes_back_says_so() -> None:
    made = loop_diagram()
    assert made.back is not None
    kept = tuple(item for item in made.back.points if item.beta > 0.168)
    made = replace(made, back=replace(made.back, points=kept, transitions=()), back_phases=(1,))
    text = " ".join(answer_sentences(made))
    assert f"On the way back down to weight_decay = {2 * kept[-1].beta:.5g}" in text
    assert "what was lost does not come back" in text


def test_spinodals_stand_with_their_certificates_or_with_what_they_are_known_from() -> None:
    lower, upper = cells(spinodal_table(loop_diagram()))
    assert (lower["phase"], lower["end"], lower["β"]) == ("1", "lower", "0.1680000000")
    assert (upper["phase"], upper["end"], upper["weight_decay"]) == ("0", "upper", "0.4640000000")
    assert (upper["residual"], upper["eigenvalue"], upper["overlap"]) == ("1e-16", "1e-17", "1")
    bare = cells(spinodal_table(loop_diagram(branches=False)))
    assert [row["known from"] for row in bare] == ["bracketed by a walk"] * 2
    assert "residual" not in bare[0]


def test_coexistence_stands_with_latent_heat_and_barriers() -> None:
    (row,) = cells(coexistence_table(loop_diagram()))
    curve, beta = loop_curve(), loop_coexistence()
    deep, saddle, dead = (curve.at(curve.x_at(beta, *bounds)) for bounds in ((1.2, 1.7), (0.8, 1.2), (1e-9, 0.8)))
    assert float(row["β"]) == pytest.approx(beta, rel=1e-9)
    assert row["phases"] == "0 and 1"
    assert float(row["latent heat Δ‖θ‖²"]) == pytest.approx(deep.norm_squared - dead.norm_squared, rel=1e-5)
    assert float(row["barrier"]) == pytest.approx(saddle.loss - deep.loss, rel=1e-5)
    assert row["index of the saddle"] == "1"


def test_ranges_of_existence_say_what_is_metastable_and_why_they_end() -> None:
    deep, dead = cells(existence_table(loop_diagram()))
    assert (deep["β"], dead["β"]) == ("0.08 – 0.232", "0.168 – 0.4")
    assert dead["metastable, β"] == f"0.168 – {loop_coexistence():.5g}"
    assert deep["ends"] == "below: the walk ends here; above: spinodal"


def test_a_phase_that_lasts_for_every_beta_says_so() -> None:
    made = loop_diagram()
    for_ever = replace(made.existence[1], range=(0.0, 0.4), metastable=((0.0, 0.2),))
    row = cells(existence_table(replace(made, existence={**made.existence, 1: for_ever})))[1]
    assert (row["weight_decay"], row["metastable, β"]) == ("all up to 0.8", "all up to 0.2")


def test_falls_are_listed_and_an_unknown_one_is_called_unknown() -> None:
    made = loop_diagram()
    lost = replace(made.tree[0], falls_to=None)
    assert [row["falls to"] for row in cells(fall_table(replace(made, tree=(lost, made.tree[1]))))] == ["not known", "phase 0"]


def test_folds_that_end_no_phase_stand_apart() -> None:
    made = loop_diagram()
    assert special_point_table(made)[1] == 0
    saddle = replace(made.branches[0].folds[0], index=(1, 2))
    branches = {0: replace(made.branches[0], folds=(saddle,)), 1: loop_curve().branch(1.3, 0.7, minor=True)}
    table, count = special_point_table(replace(made, branches=branches))
    assert count == len(table.rows) == 3
    assert sorted(row["kind"] for row in cells(table)) == ["fold of a saddle", "minor fold", "minor fold"]


def test_certificates_are_said_in_words() -> None:
    made = loop_diagram()
    walk, *_, area, loop, envelope = certificate_sentences(made)
    assert walk.startswith("Between the points that were followed, transitions apart, no jump of E above")
    assert f"holds to {made.branches[0].area.worst:.1e}" in area
    assert "0.0864" in loop
    assert "nothing says that one was missed" in envelope
    assert cells(branch_table(made))[0]["area certificate"] == f"{made.branches[0].area.worst:.2g}"


def test_a_violation_is_reported_with_its_place() -> None:
    made = replace(loop_diagram(), violations=(Violation(0.25, "a deeper branch was missed here: <b>L</b> is not concave"),))
    assert (
        certificate_sentences(made)[-1]
        == "Near weight_decay = 0.5 (β = 0.25): a deeper branch was missed here: <b>L</b> is not concave."
    )
    assert "missed here: <b>L</b> is not concave" in page_of(made).text


def test_the_area_of_an_incomplete_loop_is_not_known() -> None:
    made = loop_diagram()
    assert made.back is not None
    made = replace(made, back=replace(made.back, status="stopped at beta = 0.3"))
    assert "The area of the loop is not known, as a way is not complete: stopped at beta = 0.3." in certificate_sentences(made)


def test_the_figure_of_branches_holds_what_the_record_holds() -> None:
    (figure,) = [item for item in page_of(loop_diagram()).data["figures"] if item["kind"] == "branches"]
    made = loop_diagram().branches[0]
    (branch,) = figure["branches"]
    assert branch["beta"] == pytest.approx(made.beta)
    assert branch["values"]["error"] == pytest.approx([item.error for item in made.points], rel=1e-6)
    assert branch["index"] == list(made.index)
    assert [way["direction"] for way in figure["ways"]] == ["up", "down"]
    assert [choice["key"] for choice in figure["choices"]] == ["error", "norm_squared", "excess"]
    assert "dashed: saddles of index 1" in figure["choices"][0]["note"]
    assert "dotted: saddles" not in figure["choices"][0]["note"]


def test_a_lower_bound_of_an_index_is_called_one() -> None:
    made = loop_diagram()
    bounded = replace(made.branches[0], points=tuple(replace(item, index_is_exact=False) for item in made.branches[0].points))
    (figure,) = [item for item in page_of(replace(made, branches={0: bounded})).data["figures"] if item["kind"] == "branches"]
    assert "an index is a lower bound" in figure["choices"][0]["note"]
    assert not figure["branches"][0]["exact"]


def test_phases_that_only_the_way_back_met_are_listed_last_and_shade_nothing() -> None:
    page = page_of(replace(loop_diagram(), back_phases=(1, 2)))
    assert [(phase["id"], phase["walked"]) for phase in page.data["phases"]] == [(0, True), (1, True), (2, False)]
    assert len(page.data["axis"]["pieces"]) == 2


def test_a_branch_and_a_way_back_are_drawn_with_all_their_points() -> None:
    made = loop_diagram()
    assert made.back is not None
    assert made.loop is not None
    (figure,) = [item for item in page_of(made).data["figures"] if item["kind"] == "branches"]
    assert len(figure["branches"][0]["beta"]) == len(made.branches[0].points)
    assert len(figure["ways"][1]["beta"]) == len(made.back.points)
    assert f"∮‖θ‖²dβ = {made.loop.area:.6g}" in page_of(made).text


def test_texts_of_branches_and_ends_are_escaped() -> None:
    made = loop_diagram()
    told = {phase: replace(found, upper_reason=EVIL) for phase, found in made.existence.items()}
    page = page_of(replace(made, existence=told, spinodals=(replace(made.spinodals[0], certificate=None, reason=EVIL),)))
    assert len(page.scripts) == 3
    assert not set("<>&") & set(page.scripts[0])
    assert page.text.count(EVIL) == 3


# -- what goes where, and how large it is -----------------------------------------------------------


def test_every_transition_is_labelled_with_what_goes_there() -> None:
    made = diagram(classes=4)
    labels = [item["gone"] for item in page_of(made).data["transitions"]]
    assert labels == [f"rank {step.ranks[0]} → {step.ranks[1]}, {' '.join(map(str, step.lost))} lost" for step in made.steps]
    assert all("rank" not in item["gone"] for item in page_of(diagram(matrices=(), classes=4)).data["transitions"])


def test_the_accuracy_is_among_the_first_figures() -> None:
    keys = [figure["choices"][0]["key"] for figure in page_of(diagram(classes=4)).data["figures"]]
    assert keys[:3] == ["error", "accuracy", "norm"]


def test_the_page_has_a_table_of_contents_that_leads_to_its_sections() -> None:
    page = page_of(diagram(classes=4))
    names = {str(values["id"]) for tag, values in page.tags if tag == "section" and "id" in values}
    links = [str(values["href"])[1:] for tag, values in page.tags if tag == "a" and str(values.get("href")).startswith("#")]
    assert {"transitions", "phases", "conventions"} <= set(links) & names


def test_a_report_of_500_points_is_below_2_megabytes_and_holds_the_whole_result() -> None:
    made = diagram(500, phases=9, classes=10)
    text = render(made)
    assert len(text.encode()) < 2_000_000
    assert Page(text).data["result"] == json.loads(json.dumps(made.to_dict()))
