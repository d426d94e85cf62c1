"""One fact, one sentence: runs of ten kinds say the same on the terminal, in the report, in the JSON and of a model."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from torch import Tensor, nn

import spinodal as sp
from diagrams import diagram
from losses import cross_entropy
from small_run import mapped
from spinodal.commands.show import show_run
from spinodal.report import render
from spinodal.store import load, placement_folder, placements, save_placement
from spinodal.tasks import Task
from spinodal.words.doubts import doubts

NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?)"
PLACE = rf"weight_decay = {NUMBER} \(beta = {NUMBER}\)"
ENDS = re.compile(rf"ends at {PLACE}")
NEXT = re.compile(rf"next transition is at {NUMBER} times your weight_decay \(weight_decay = {NUMBER}\)")
LOSS = re.compile(rf"argest weight_decay before the first loss of (\w+) at a transition: {NUMBER} \(beta = {NUMBER}\)")
CLASS = re.compile(rf"irst to go: class(?:es)? ([0-9, and]+?) at weight_decay = {NUMBER}")
APPEAR = re.compile(rf"irst to appear: (.+?) at weight_decay = {NUMBER}")
DEEP = re.compile(rf"is the deepest known up to {PLACE}, where phase (\d+) is as deep")


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().double()


def perceptron(*widths: int) -> nn.Module:
    layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def table(*hidden: int) -> Task:
    """A perceptron on a table."""
    x, y = load_iris(return_X_y=True)
    inputs, labels = torch.from_numpy(x)[::3], torch.from_numpy(y)[::3]
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    return Task(seeded(lambda: perceptron(4, *hidden, 3)), cross_entropy, (inputs, labels), name="table")


def images() -> Task:
    """Convolutions on images of the digits 0 to 2, of which there are 12, 8 and 4."""
    x, y = load_digits(return_X_y=True)
    chosen = [k for digit, count in ((0, 12), (1, 8), (2, 4)) for k in (y == digit).nonzero()[0][:count]]
    inputs = nn.functional.avg_pool2d(torch.from_numpy(x[chosen]).reshape(-1, 1, 8, 8) / 4.0, 2)
    model = seeded(lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), perceptron(8, 3, 3)))
    return Task(model, cross_entropy, (inputs, torch.from_numpy(y[chosen])), name="images", solver="newton")


class Reader(nn.Module):
    """A recurrent net that tells which token of a sequence came first."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.step = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.out = nn.Linear(3, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        state = torch.zeros(len(tokens), 3, dtype=self.out.weight.dtype)
        for token in nn.functional.one_hot(tokens, 3).to(state).unbind(1):
            state = torch.tanh(self.embedding(token) + self.step(state))
        return self.out(state)


def sequences() -> Task:
    """Sequences of three tokens; the first one, of unequal frequency, is asked for."""
    rest = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(2, 1)
    first = torch.repeat_interleave(torch.arange(3), torch.tensor([9, 6, 3]))
    return Task(seeded(Reader), cross_entropy, (torch.cat([first[:, None], rest], 1), first), name="sequences", solver="newton")


class Chain(nn.Module):
    """Three numbers, no matrix, no predictions."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))


def chain() -> Task:
    return Task(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None, name="chain")


def linear(*hidden: int) -> Task:
    return sp.tasks.gaussian(activation="linear", hidden=hidden, samples=40)


RUNS: dict[str, tuple[Callable[[], Task], dict[str, Any]]] = {
    "table, up": (lambda: table(3, 3), {"beta": (0.03, 0.2)}),
    "table, loop": (lambda: table(3, 3), {"beta": (0.03, 0.2), "direction": "loop"}),
    "table, down": (lambda: table(3), {"beta": (0.03, 0.6), "direction": "down"}),
    "images, up": (images, {"beta": (0.02, 0.4)}),
    "sequences, up": (sequences, {"beta": (0.01, 0.3)}),
    "no classes, kinks, loop": (lambda: linear(3), {"beta": (0.3, 1.2), "direction": "loop"}),
    "no matrices, loop": (chain, {"beta": (0.05, 0.5), "direction": "loop"}),
    "no classes, branches": (lambda: linear(3, 3), {"beta": (0.05, 0.6), "branches": True}),
    "no classes, single precision": (lambda: linear(3, 3), {"beta": (0.05, 0.6), "dtype": "float32"}),
    "no transition": (lambda: linear(3), {"beta": (0.05, 0.2)}),
}


@dataclass(frozen=True)
class Run:
    """What a run says, on every way that it speaks."""

    diagram: sp.PhaseDiagram
    terminal: str
    report: str
    placed: str
    json: dict[str, Any]
    placement: dict[str, Any]


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    make, options = RUNS[request.param]
    folder, task = tmp_path_factory.mktemp("words") / "run", make()
    diagram = mapped(task, folder, starts=1, bracket=1e-3, **options)
    low, _ = diagram.ends
    checkpoint = diagram.at_point(low.index).save(folder / "model.safetensors")
    kept = placement_folder(folder, low.minimum.theta, 2.0 * low.beta)
    placement = sp.place(diagram, low.minimum.theta, beta=low.beta, task=task)
    save_placement(kept, placement, checkpoint)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        show_run(folder, str(folder / "result.json"))
    terminal, _, placed = out.getvalue().partition("model.safetensors: ")
    page = render(load(folder), placements=placements(folder))
    report = " ".join(unescape(re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)).split())
    assert placement.answer() in report
    written = json.loads((folder / "result.json").read_text())
    return Run(
        diagram, terminal, report.replace(placement.answer(), ""), " ".join(placed.split()), written, placement.to_dict()
    )


def told(pattern: re.Pattern[str], text: str) -> tuple[str, ...] | None:
    """Return what a text says where it says it first, None where it does not."""
    found = pattern.search(text)
    return None if found is None else found.groups()


def macroscopic_up(result: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted((t for t in result["transitions"] if not t["minor"] and t["direction"] == "up"), key=lambda t: t["beta"])


def loses(found: dict[str, Any], *, has_accuracy: bool) -> bool:
    """Tell a loss by its definition, from the transition in the JSON alone."""
    if not has_accuracy:
        return bool(found["phase_ranks"][0] > found["phase_ranks"][1])
    before, after = found["accuracy"]["train"]
    return bool(found["lost_classes"]) or before - after >= 0.01


def test_the_json_answers_by_the_definitions(run: Run) -> None:
    answer, found = run.json["answer"], macroscopic_up(run.json)
    has_accuracy = run.json["phases"][0]["accuracy"]["train"] is not None
    losses = [item for item in found if loses(item, has_accuracy=has_accuracy)]
    classes = [item for item in found if item["lost_classes"]]
    if answer["direction"] == "down":
        assert (answer["first_loss"], answer["first_class"], answer["largest"]) == (None, None, None)
        assert answer["end"]["beta"] == max(item["beta"] for item in run.json["transitions"] if not item["minor"])
        return
    for key, expected in (("end", found), ("first_loss", losses), ("first_class", classes)):
        assert (answer[key] and answer[key]["beta"]) == (expected[0]["beta"] if expected else None)
    if classes:
        assert answer["first_class"]["classes"] == classes[0]["lost_classes"]
    met = [item["beta"] for item in run.json["coexistence"] if item["phases"][0] == 0]
    assert (answer["metastable_from"] and answer["metastable_from"]["beta"]) == (min(met) if met else None)


def test_terminal_report_and_json_say_the_same(run: Run) -> None:
    for pattern in (ENDS, LOSS, CLASS, APPEAR, DEEP):
        assert told(pattern, run.terminal) == told(pattern, run.report)
    answer = run.json["answer"]
    said = {"end": told(ENDS, run.terminal), "first_class": told(CLASS, run.terminal), "first_gain": told(APPEAR, run.terminal)}
    for key, words in said.items():
        assert (words is None) == (answer[key] is None), key
        if words is not None:
            low, high = answer[key]["bracket"]
            decay = float(words[0] if key == "end" else words[-1])
            assert decay == pytest.approx(2.0 * answer[key]["beta"], abs=high - low)
    loss = told(LOSS, run.terminal)
    if loss is not None:
        low, high = answer["first_loss"]["bracket"]
        assert loss[0] == answer["first_loss"]["of"]
        assert low - 0.05 * (high - low) < float(loss[2]) <= low
        assert float(loss[1]) == pytest.approx(2.0 * float(loss[2]))


def test_a_model_at_the_lowest_beta_is_told_what_the_map_says(run: Run) -> None:
    if run.json["answer"]["direction"] == "down":  # what ends a phase upwards, a walk down does not know
        assert run.placement["conclusion"]["direction"] == "up"
        return
    if run.json["answer"]["end"] is None:  # the model's own branch is followed beyond the map
        assert run.placement["conclusion"]["end"]["beta"] > run.json["range"][1]
        return
    assert run.placement["conclusion"] == {key: value for key, value in run.json["answer"].items() if key != "text"}
    for pattern in (LOSS, CLASS, DEEP):
        assert told(pattern, run.placed) == told(pattern, run.terminal)
    end, following = told(ENDS, run.terminal), told(NEXT, run.placed)
    assert (end and end[0]) == (following and following[1])


def test_the_deepest_phase_is_spoken_of_where_depth_was_compared(run: Run) -> None:
    compared = run.json["answer"]["depth"] != "not compared"
    assert compared == bool(run.json["coexistence"] or run.json["loop"])
    assert ("deepest" in run.terminal.split("convention")[1]) == compared
    if not compared and run.json["answer"]["end"]:
        assert "the followed phase" in run.terminal or "on the way down" in run.terminal


def test_what_beta_is_printed_with_is_what_its_bracket_knows(run: Run) -> None:
    for item in run.diagram.all_transitions:
        low, high = item.bracket
        printed, ends = re.search(rf"beta = {NUMBER} \[(.*?)\]", str(item)).groups()  # type: ignore[union-attr]
        assert float(printed) == pytest.approx(item.beta, abs=0.5 * (high - low))
        lower, upper = map(float, ends.split(", "))
        assert lower <= low <= high <= upper
        assert upper - lower < 1.3 * (high - low)
        unit = 10.0 ** -len(printed.split(".")[1])
        assert unit <= 0.5 * (high - low) < 10.0 * unit


def test_single_precision_brackets_hold_the_exact_values() -> None:
    task = linear(4, 4)
    for seed in range(3):
        found = sp.map_phases(task, seed=seed, starts=2, dtype="float32", beta=(0.1, 0.6)).macroscopic
        for item, exact in zip(found, task.exact, strict=True):
            low, high = item.bracket
            assert low <= exact.beta <= high
            assert high - low < 0.02 * exact.beta


def test_the_best_held_out_weight_decay_is_in_the_headline() -> None:
    made = diagram(count=12, classes=3)
    plain = made.answer()
    assert "held-out" not in plain
    scored = []
    for place, item in enumerate(made.points):
        view = replace(item.observation, accuracy={**item.observation.accuracy, "held_out": 0.9 if place in (3, 4) else 0.5})
        scored.append(replace(item, observation=view))
    low, high = (2 * scored[place].beta for place in (3, 4))
    said = replace(made, points=tuple(scored)).answer()
    assert "Best held-out accuracy of the followed points: 90 %, between weight_decay = " in said
    sentence = said[said.index("Best held-out") :]
    assert f"{low:.3g} (beta" in sentence
    assert f"and weight_decay = {high:.3g} (beta" in sentence


def test_an_order_that_is_not_proven_comes_with_what_would_prove_it() -> None:
    item = {"kind": "jump, order not proven", "missing": "no second walk in half steps", "minor": False, "beta": 0.1,
            "bracket": [0.0999, 0.1001]}  # fmt: skip
    plain = {"incomplete": [], "transitions": [item], "solver": "lbfgs", "branches": [], "loop": None}
    (said,) = doubts(plain)
    assert said.endswith("To prove it, add --branches, which follows every phase through its end.")
    assert "--branches" not in doubts(plain | {"branches": [], "coexistence": [{}]})[0]  # a large network has no branches
    assert doubts(plain | {"branches": [{}]})[0].endswith("add --solver newton_cg, which walks in half steps.")
    assert doubts(plain | {"branches": [{}], "solver": "newton"})[0].endswith("add a narrower --bracket.")
    assert doubts(plain | {"solver": "adam"})[0].endswith(
        "To prove it, leave --grid out, which trains for a number of epochs and ends at no minimum."
    )
    assert "To prove them" in doubts(plain | {"transitions": [item, {**item, "beta": 0.2, "bracket": [0.1999, 0.2001]}]})[0]
