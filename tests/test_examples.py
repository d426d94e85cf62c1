"""The examples do what their first lines say, in a smaller size."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from spinodal.landscape import Landscape
from spinodal.landscape.scale import refuse_scale_invariance
from spinodal.mapping.map import map_phases
from spinodal.tasks import Task
from spinodal.tasks.registry import make_task
from test_cli import Command, command  # noqa: F401 - the fixture

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "examples").glob("*.py"))
GALLERY = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
SMALL: dict[str, dict[str, str]] = {
    "batchnorm.py:task_masked": {"hidden": "2"},
    "cnn.py:task": {"channels": "2", "classes": "3", "samples": "60", "held_out": "60"},
    "mlp.py:task": {"hidden": "3"},
    "transformer.py:task": {"width": "4", "hidden": "4", "samples": "60", "length": "3"},
}
CHEAP: dict[str, dict[str, Any]] = {
    "batchnorm.py:task_masked": {"beta": (0.1, 0.4)},
    "cnn.py:task": {"beta": (0.05, 0.4)},
    "mlp.py:task": {"beta": (0.03, 0.4)},
    "transformer.py:task": {"beta": (0.02, 0.5), "solver": "lbfgs"},
}
every_example = pytest.mark.parametrize("example", SMALL)


def small(example: str) -> Task:
    return make_task(f"{ROOT}/examples/{example}", SMALL[example])


def landscape_and_point(task: Task) -> tuple[Landscape, torch.Tensor]:
    landscape = task.landscape()
    return landscape, landscape.vector(task.initial(0))


def test_every_file_is_tested() -> None:
    assert {path.name for path in FILES} == {example.split(":")[0] for example in SMALL}


@every_example
def test_an_example_makes_the_same_task_every_time(example: str) -> None:
    (first, theta), (again, same) = (landscape_and_point(small(example)) for _ in range(2))
    assert torch.equal(theta, same)
    assert first.value(theta) == again.value(theta)


@every_example
def test_the_derivatives_of_an_example_are_those_of_its_error(example: str) -> None:
    landscape, theta = landscape_and_point(small(example))
    direction = torch.randn(landscape.size, dtype=torch.float64)
    ahead, behind = theta + 1e-5 * direction, theta - 1e-5 * direction
    slope = (landscape.value(ahead) - landscape.value(behind)) / 2e-5
    bend = (landscape.gradient(ahead) - landscape.gradient(behind)) / 2e-5
    assert float(landscape.gradient(theta) @ direction) == pytest.approx(slope, rel=1e-5, abs=1e-8)
    torch.testing.assert_close(landscape.hessian_product(theta, direction), bend, rtol=1e-4, atol=1e-6)


@every_example
def test_an_example_has_a_minimiser_and_biases_are_free_where_it_says_so(example: str) -> None:
    task = small(example)
    landscape = task.landscape()
    penalty = task.penalty(landscape)
    refuse_scale_invariance(landscape, penalty)  # raises where it has none
    offset = landscape.parameters.unflatten(penalty.offset(torch.ones(landscape.size)))
    free = {name for name, part in offset.items() if not part.any()}
    biases = {name for name in offset if name.endswith(".bias")}
    masked = {"0.linear.weight", "0.linear.bias"} if example.startswith("batchnorm") else set()
    assert free == (masked if masked or example.startswith("mlp") else biases)


@every_example
def test_an_example_is_mapped_to_its_end(example: str) -> None:
    diagram = map_phases(small(example), starts=1, bracket=1e-2, **CHEAP[example])
    assert diagram.run_status == "complete"
    assert diagram.macroscopic
    assert diagram.phases[0].classes
    assert not diagram.phases[-1].classes
    for part in ("train", "held_out"):
        deepest, trivial = (diagram.points[place].observation.accuracy[part] for place in (0, -1))
        assert deepest > trivial + 0.1


# -- what is refused ---------------------------------------------------------------------------


def test_batch_normalisation_is_refused_with_its_cause_and_the_mask_that_helps(command: Command) -> None:  # noqa: F811
    example = f"{ROOT}/examples/batchnorm.py:task"
    refused = command("map", example, "--out", "run")
    assert (refused.code, refused.out) == (2, "")
    assert "E does not depend on the scale of 0.linear (a normalisation follows it), so L has no minimiser" in refused.err
    (pattern,) = re.findall(r"exclude=\['(.*?)'\] of Task", refused.err)
    assert not Path("run").exists()
    helped = make_task(example, {"exclude": pattern})
    refuse_scale_invariance(helped.landscape(), helped.penalty(helped.landscape()))  # raises where there is no minimiser


def test_statistics_of_the_training_sample_are_those_of_batch_normalisation_over_it() -> None:
    model = small("batchnorm.py:task_masked").model.double()
    layer, inputs = model[0], model[0].sample
    reference = torch.nn.BatchNorm1d(layer.linear.out_features).double()
    torch.testing.assert_close(layer(inputs), reference(layer.linear(inputs)))
    torch.testing.assert_close(layer(inputs[:5]), layer(inputs)[:5])


# -- the transformer ---------------------------------------------------------------------------


def test_attention_reads_no_token_behind_the_end_of_its_sequence() -> None:
    task = small("transformer.py:task")
    batch: dict[str, Any] = task.data
    hidden = ~batch["mask"]
    assert hidden.any()
    other = batch | {"tokens": torch.where(hidden, 5 - batch["tokens"].clamp(max=5), batch["tokens"])}
    assert (other["tokens"] != batch["tokens"]).any()
    found, expected = (task.model(given["tokens"], given["mask"]) for given in (other, batch))
    torch.testing.assert_close(found, expected)


def test_labels_of_the_sequences_are_the_classes_of_their_marked_tokens() -> None:
    batch: dict[str, Any] = small("transformer.py:task").data
    marked = batch["tokens"] // 3 == 1
    assert (marked.sum(1) == 1).all()
    assert batch["mask"][marked].all()
    assert torch.equal(batch["tokens"][marked] - 3, batch["labels"])


# -- the gallery -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_is_short_says_what_it_shows_and_is_in_the_gallery(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    assert len(lines) <= 60
    assert re.search(r"\d+ s on one core", header)
    assert f"spinodal map examples/{path.name}:task" in header
    assert f"spinodal map examples/{path.name}:task" in GALLERY


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", GALLERY))
def test_every_link_of_the_gallery_leads_somewhere(target: str) -> None:
    found = ROOT / "docs" / target
    assert found.exists()
    assert found.suffix != ".png" or found.stat().st_size < 160_000
