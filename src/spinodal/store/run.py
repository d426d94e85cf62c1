"""A run folder: the journal of one map, its states, and the files made from them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w
import torch
from safetensors.torch import save

from spinodal.errors import RunFolderError, SpinodalError, refusing
from spinodal.files import reading, write_json, write_whole, writing
from spinodal.labelled.result import SCHEMA as RESULT_SCHEMA
from spinodal.mapping.options import TRAINED, MapOptions
from spinodal.missing import Attempts, Missing, is_final
from spinodal.phases.diagram import UNFINISHED
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store.command import command_of
from spinodal.store.control import keep_control
from spinodal.store.copies import LABELLED, write_copies, write_labelled, write_result
from spinodal.store.journal import NAME, SCHEMA, Journal, refuse_loss
from spinodal.store.latest import FILES, latest_result
from spinodal.store.lock import Lock
from spinodal.store.log import ANEW
from spinodal.store.recorded import FIXED, recorded_diagram
from spinodal.tasks.models import Models

BEGINNING = {NAME, "provenance.json", "provenance.json.part", "config.toml.part"}  # all that a run begun, and no more, has
REMARKS = {"control.from"}  # settings that identify nothing: the same centre may lie elsewhere
YOUNGER = ("curvature", "soften", "grid", "repeats", "lead", "shards", *TRAINED)  # settings that older versions did not know,
LATER = {
    f"map.{name}": "auto" if (known := getattr(MapOptions, name)) is None else known for name in YOUNGER
}  # as they behaved


class RunFolder:
    """One map on disk: `journal.jsonl` and `states/` are the run, everything else is made from them.

    `config.toml`, `provenance.json`, `result.json` and `result.nc` are copies of what the journal holds, for
    other programs; `rebuild` writes them again. To be written, the folder is locked until `close` or the end
    of a `with` block; to be read, nothing in it is touched.

    Parameters
    ----------
    path : Path
    config : mapping, optional
        The resolved settings that identify the run. None opens an existing run to read.
    resume : bool
        Whether an existing run with the same settings is to be continued.

    Raises
    ------
    SpinodalError
        If the folder holds another run, or a run that was not to be resumed, or none to read; if another
        process is at work on it; if it cannot be read or written.
    """

    def __init__(self, path: Path, config: Mapping[str, Any] | None = None, *, resume: bool = False) -> None:
        self.path = path
        self._lock: Lock | None = None
        try:
            if config is None:
                self._require_run()
            else:
                self._enter(config, resume=resume)
            self.journal = Journal(path, read_only=config is None)
            began = time.perf_counter()
            self.journal.time_with(lambda: time.perf_counter() - began)
            if config is not None:
                self._begin(config)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes write."""
        if self._lock is not None:
            self._lock.release()

    @staticmethod
    def is_run(path: Path) -> bool:
        """Tell whether a folder holds a run."""
        with reading(path):
            journal = path / NAME
            return (path / "config.toml").exists() or (journal.exists() and journal.stat().st_size > 0)

    @property
    def config(self) -> dict[str, Any]:
        """Return the settings that began this run."""
        place = self.path / "config.toml"
        if not place.exists():
            return Journal(self.path, read_only=True).recorded("settings") or {}
        kinds, got = (ValueError, RecursionError), lambda cause: f"{place} is damaged: {cause}"
        with reading(place), refusing(kinds, got, allowed="a TOML file is needed", do=ANEW):
            return tomllib.loads(place.read_text(encoding="utf-8"))

    def save(self, diagram: PhaseDiagram, *, files: Attempts | None = None) -> Path:
        """Record the result, and write `result.json` and `result.nc` from what is recorded; return the former.

        The result of a finished run stays as it is recorded. One from which something is missing that can be tried again
        is followed by the next one. Where `files` is given, `result.nc` is a part of it, which may be missing.

        Raises
        ------
        SpinodalError
            If another result is recorded already; if something cannot be written.
        """
        self._keep(diagram)
        found = json.loads(json.dumps(diagram.to_dict()))
        known = self.journal.latest("result")
        if known is None or (not is_final(known) and not _same(known, found)):
            self.journal.renew("result", found)
        elif is_final(known) and {**found, **known} != found:  # a run of an older version has fewer keys
            raise RunFolderError(
                got=f"the run in {self.path} was finished with another result than this version finds from the same points",
                allowed="a finished run stays as it is",
                do=f"read it with `spinodal show`, or {ANEW}",
            )
        target = write_result(self.journal, self.command)
        with nullcontext() if files is None else files.part(LABELLED):
            write_labelled(self.journal, self.command)
        return target

    def save_walk(self, diagram: PhaseDiagram) -> Path | None:
        """Write `result.json` and `result.nc` of a walk that is recorded, before what builds on it; return the former.

        Nothing is written where a later result is recorded already.
        """
        if self.journal.latest("result") is not None:
            return None
        self._keep(diagram)
        return write_copies(self.journal, self.command)

    def lack_files(self, missing: Sequence[Missing]) -> None:
        """Record which files could not be made, if any or if there were any before, and say so in `result.json`."""
        value = {"missing": [item.to_dict() for item in missing]}
        if (self.journal.latest(FILES) or {"missing": []}) != value:
            self.journal.renew(FILES, value)
            write = write_result if any(item.what == LABELLED for item in missing) else write_copies
            write(self.journal, self.command)

    def result(self) -> dict[str, Any]:
        """Return the result that is recorded, or what is there of it, as `result.json` has it."""
        latest = latest_result(self.journal, self.command)
        return recorded_diagram(self.journal, self.command).to_dict() if latest is None else latest

    def require_result(self) -> None:
        """Refuse a run that has no finished walk yet."""
        if latest_result(self.journal, self.command) is None:
            raise self._unfinished()

    def require_points(self) -> None:
        """Refuse a run that has no point yet."""
        if not self.journal.count:
            raise self._unfinished()

    def _keep(self, diagram: PhaseDiagram) -> None:
        """Record how models are made of theta, and the tensors of the control."""
        if diagram.models is not None:
            self._keep_models(diagram.models)
        if diagram.control.made is not None:
            keep_control(self.path, diagram.control.made)

    def _keep_models(self, models: Models) -> None:
        """Record how models are made of theta: the layout, and the tensors that all points share."""
        place, fixed = self.path / FIXED, models.fixed()
        if fixed and not place.exists():
            with writing(place):
                place.parent.mkdir(exist_ok=True)
                write_whole(place, save(dict(fixed)))
        self.journal.note("layout", models.layout.to_dict)

    def _unfinished(self) -> SpinodalError:
        last = self.journal.last_beta
        reached = "" if last is None else f", the last at beta = {last:.4g}"
        return SpinodalError(
            got=f"the run in {self.path} is not finished: {self.journal.count} points so far{reached}",
            allowed="a run that has come far enough is allowed",
            do=f"go on with {self.command}",
        )

    @property
    def command(self) -> str:
        """Return the command that goes on with this run."""
        settings = self.journal.recorded("settings") or self.config
        return command_of(self.path, self.journal.recorded("provenance"), settings)

    def _require_run(self) -> None:
        if not self.is_run(self.path):
            raise SpinodalError(
                got=f"no run in {self.path}",
                allowed="a folder made by `spinodal map` is allowed",
                do="check the path; runs lie in runs/",
            )

    @property
    def has_result(self) -> bool:
        """Tell whether the map was finished, whatever is missing from it."""
        return self.journal.latest("result") is not None

    @property
    def is_finished(self) -> bool:
        """Tell whether there is a result with nothing missing that could be tried again, and a report."""
        result = latest_result(self.journal, self.command)
        has_report = (self.path / "report.html").exists()
        return has_report and result is not None and is_final(result) and result["run_status"] != UNFINISHED

    def require_same(self, config: Mapping[str, Any], *, resume: bool = True) -> None:
        """Refuse other settings than those that began this run, and a run that is not to be resumed."""
        if not resume:
            raise SpinodalError(
                got=f"{self.path} already holds a run",
                allowed="a new folder, or --resume to continue this run, is allowed",
                do="add --resume, or give another --out",
            )
        old, new = LATER | _flat(self.config), LATER | _flat(_plain(config))
        different = sorted(key for key in (old.keys() | new.keys()) - REMARKS if old.get(key) != new.get(key))
        if different:
            changes = ", ".join(f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in different[:3])
            raise SpinodalError(
                got=f"{self.path} holds another run ({changes})",
                allowed="a run is resumed with the settings that began it",
                do="repeat those settings, or give another --out",
            )

    def _enter(self, config: Mapping[str, Any], *, resume: bool) -> None:
        """Begin a run or go on with one, alone."""
        self._require_right(config, resume=resume)  # touches nothing
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.path / NAME)
        self._require_right(config, resume=resume)  # another process may have begun a run here before this one had the lock
        with writing(self.path):
            self._describe(config)

    def _require_right(self, config: Mapping[str, Any], *, resume: bool) -> None:
        if self.is_run(self.path):
            self.require_same(config, resume=resume)
            refuse_loss(self.path)
        elif self.path.exists() and not (self.path.is_dir() and self._is_empty()):
            raise SpinodalError(
                got=f"{self.path} exists and is not a run folder",
                allowed="a new or empty folder is allowed",
                do="give another --out",
            )

    def _is_empty(self) -> bool:
        """Tell whether nothing is there, or only what a process killed while it made the folder leaves."""
        with reading(self.path):
            sizes = {place.name: place.stat().st_size for place in self.path.iterdir()}
            return sizes.keys() <= BEGINNING and not sizes.get(NAME) and self._is_ours("provenance.json")

    def _is_ours(self, name: str) -> bool:
        """Tell whether a JSON file is not there, or was written by this program."""
        place = self.path / name
        return not place.exists() or "spinodal" in (_read(place) or {})

    def _describe(self, config: Mapping[str, Any]) -> None:
        """Write what identifies the run; `config.toml` comes last, since it makes an empty folder a run."""
        if not self.is_run(self.path) and not (self.path / "provenance.json").exists():
            write_json(self.path / "provenance.json", provenance())
        if not (self.path / "config.toml").exists():
            write_whole(self.path / "config.toml", tomli_w.dumps(_plain(config)))

    def _begin(self, config: Mapping[str, Any]) -> None:
        """Begin the journal with what the run is, or give a run its lost provenance file back."""
        place = self.path / "provenance.json"
        recorded = self.journal.note("provenance", lambda: _read(place) or provenance())
        self.journal.note("settings", lambda: _plain(config))
        if not place.exists():
            with writing(place):
                write_json(place, recorded)


def _same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Tell whether two results differ in nothing but the time that they took."""
    first, second = ({**item, "stats": {**item["stats"], "seconds": 0.0}} for item in (a, b))
    return first == second


def _read(place: Path) -> dict[str, Any] | None:
    """Return the mapping in a JSON file, or None where there is none that could be written again."""
    try:
        value = json.loads(place.read_text(encoding="utf-8"))
        json.dumps(value, allow_nan=False)
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def provenance() -> dict[str, Any]:
    """Return what made a run: versions, git state, host, threads, time."""
    return {
        "schemas": {"journal": SCHEMA, "result": RESULT_SCHEMA},
        "spinodal": _version("spinodal"),
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in ("torch", "numpy", "scipy", "scikit-learn", "safetensors", "xarray")},
        "git": _git(),
        "host": {"system": platform.platform(), "machine": platform.machine(), "cores": os.cpu_count()},
        "threads": torch.get_num_threads(),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> str | None:
    """Return `git describe` of the working directory, or None outside a checkout."""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _plain(value: Any) -> Any:
    """Return settings in TOML types: tuples as lists, None as "auto"."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return "auto" if value is None else value


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
