"""What `spinodal connect` does: two trained networks, whether they can be merged, and the lowest path between them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from spinodal.commands.asked import Asked
from spinodal.commands.centre import named_theta
from spinodal.commands.json_file import write_json_file
from spinodal.commands.path_run import write_path_run
from spinodal.commands.path_tables import show_paths
from spinodal.commands.threads import threads_for, use_threads
from spinodal.errors import SpinodalError, about, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.control_record import digest
from spinodal.mapping.options import OWN
from spinodal.mapping.preparing import usable_device
from spinodal.paths import Mergeable, connect, mergeable
from spinodal.paths.path import Path as Joining
from spinodal.paths.settings import METHODS, Forgetful, Recorder, Settings
from spinodal.store import RunFolder
from spinodal.tasks import Task
from spinodal.tasks.model_file import save_model
from spinodal.tasks.models import Models
from spinodal.tasks.registry import make_task
from spinodal.tasks.task import DTYPES


@dataclass(frozen=True)
class Request:
    """Which ends are joined, and how.

    Attributes
    ----------
    methods : tuple of str
    how : mapping
        Of `connect`: budget, tolerance, bends, start, aligned.
    """

    ends: tuple[str, str]
    methods: tuple[str, ...]
    how: Mapping[str, Any]
    dtype: str
    device: str

    def settings_of(self, method: str) -> Settings:
        """Return the settings of a method, or refuse them."""
        return Settings(method, *(self.how[name] for name in ("start", "budget", "tolerance", "bends")))


def connect_ends(asked: Asked, request: Request, *, check: bool, merge: Path | None) -> None:
    """Check two ends, join them unless only the check is asked for, and write and print all of it."""
    for method in request.methods:
        request.settings_of(method)  # what cannot be is refused before anything is computed
    task = make_task(asked.task, asked.settings)
    a, b = (_end(end, task, name) for end, name in zip(request.ends, ("A", "B"), strict=True))
    landscape = task.landscape(dtype=_precision(request.dtype, task), device=usable_device(request.device))
    use_threads(asked.threads or threads_for(landscape.size * landscape.batches.total))
    console, out = asked.console(), asked.out
    with ExitStack() as stack:
        kept = None if out is None or check else RunFolder(out, _config(request, task, (a, b)), resume=asked.resume)
        folder = None if kept is None else stack.enter_context(kept)
        first = mergeable(landscape, a, b, task=task)
        console.print(_checked(first, request.ends))
        result: dict[str, Any] = {
            "task": {"name": task.name, **task.settings},
            "ends": list(request.ends),
            "check": first.to_dict(),
        }
        if not check:
            paths = _paths(request, task, landscape, (a, b), folder, console)
            result |= _told(paths, task, merge, console)
        if folder is not None:
            console.print(f"run folder: {folder.path}  (report: {write_path_run(folder.path, result)})")
    write_json_file(asked.json_file, result)


def _told(paths: Mapping[str, Joining], task: Task, merge: Path | None, console: Console) -> dict[str, Any]:
    """Print paths and write the best model on the lowest of them; return both in JSON types."""
    result: dict[str, Any] = {"paths": [path.to_dict() for path in paths.values()], "merged": None}
    show_paths(console, result["paths"])
    if merge is not None:
        result["merged"] = _merged(min(paths.values(), key=lambda path: path.barrier), task, merge)
        console.print(f"{merge}: the model at t = {result['merged']['t']:.3f} of the path")
    return result


def _paths(
    request: Request,
    task: Task,
    landscape: Landscape,
    ends: tuple[Tensor, Tensor],
    folder: RunFolder | None,
    console: Console,
) -> dict[str, Joining]:
    recorder: Recorder = Forgetful() if folder is None else folder.journal
    found = {}
    for method in request.methods:
        with console.status(method) as shown:
            found[method] = connect(
                landscape,
                *ends,
                method=method,
                task=task,
                recorder=recorder,
                tell=lambda what, method=method, shown=shown: shown.update(f"{method}: {what}"),  # type: ignore[misc]
                **request.how,
            )
    return found


def _end(named: str, task: Task, name: str) -> Tensor:
    with about(f"{name}, {named}"):
        return named_theta(named, task)


def methods_of(text: str) -> tuple[str, ...]:
    """Return the methods of a comma-separated list; "all" are all."""
    found = METHODS if text == "all" else tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in found:
        if name not in METHODS:
            raise unknown_name("method", name, ("all", *METHODS))
    return found


def _precision(name: str, task: Task) -> torch.dtype:
    if name not in (OWN, *DTYPES):
        raise unknown_name("dtype", name, (OWN, *DTYPES))
    return DTYPES[task.dtype if name == OWN else name]


def _config(request: Request, task: Task, ends: tuple[Tensor, Tensor]) -> dict[str, Any]:
    """Return what identifies a run: the task, how, and the numbers of both ends."""
    asked = {"methods": list(request.methods), "dtype": request.dtype, "device": request.device, **request.how}
    both = {name: digest(theta)[:16] for name, theta in zip("ab", ends, strict=True)}
    return {"task": {"name": task.name, **task.settings}, "connect": asked | both}


def _merged(path: Joining, task: Task, target: Path) -> dict[str, Any]:
    """Write the best model on a path as safetensors."""
    best = path.best()
    known = path.along.held_out_error
    error = min(known or path.error)
    words = {"task": task.name, "t": repr(best.t), "held_out_error" if known else "error": repr(error)}
    save_model(Models.of(task).state_dict(best.theta.cpu()), words, target)
    return {"file": str(target), "t": best.t, "by": "held-out error" if known else "E", "value": error}


def _checked(found: Mergeable, ends: tuple[str, str]) -> str:
    lines = [
        f"{name}: {end}: E = {found.error[place]:.6g}, norm {found.norm[place]:.4g}, rank {found.rank[place]}"
        for place, (name, end) in enumerate(zip("ab", ends, strict=True))
    ]
    alignment = f"no alignment: {found.why_not}" if found.alignment is None else f"alignment: {found.alignment}"
    return "\n".join([*lines, alignment, f"Can they be merged? {found.answer()}"])


def refuse_merge(merge: Path | None) -> None:
    """Refuse a file that cannot be written, before anything is computed."""
    if merge is not None and merge.is_dir():
        raise SpinodalError(got=f"--merge {merge} is a folder", allowed="a file is allowed", do="give the name of a file in it")
    if merge is not None and not merge.resolve().parent.is_dir():
        raise SpinodalError(
            got=f"--merge {merge}: there is no folder {merge.parent}",
            allowed="a file in an existing folder is allowed",
            do="make the folder, or give another file",
        )
