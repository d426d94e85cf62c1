"""A run folder: settings, provenance, journal, states, result and figures of one map."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w
import torch

from spinodal.errors import SpinodalError
from spinodal.phases import SCHEMA, PhaseDiagram
from spinodal.store.journal import Journal


class RunFolder:
    """One map on disk: `config.toml`, `provenance.json`, `journal.jsonl`, `states/`, `result.json`, `figures/`.

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
        If the folder holds another run, or a run that was not to be resumed, or none to read.
    """

    def __init__(self, path: Path, config: Mapping[str, Any] | None = None, *, resume: bool = False) -> None:
        self.path = path
        if config is None:
            self._require_run()
        elif self.is_run(path):
            self._require_same(config, resume=resume)
        else:
            self._create(config)
        self.journal = Journal(path)
        began = time.perf_counter()
        self.journal.time_with(lambda: time.perf_counter() - began)

    @staticmethod
    def is_run(path: Path) -> bool:
        """Tell whether a folder holds a run."""
        return (path / "config.toml").exists()

    @property
    def config(self) -> dict[str, Any]:
        """Return the settings that began this run."""
        try:
            return tomllib.loads((self.path / "config.toml").read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
            raise SpinodalError(
                got=f"{self.path / 'config.toml'} is damaged: {cause}",
                allowed="a TOML file is needed",
                do="start anew in another folder",
            ) from cause

    def save(self, diagram: PhaseDiagram) -> Path:
        """Write `result.json`, replacing it in one step."""
        target = self.path / "result.json"
        write_whole(target, json.dumps(diagram.to_dict(), indent=1, allow_nan=False) + "\n")
        return target

    def result(self) -> dict[str, Any]:
        """Return the saved result."""
        try:
            result = json.loads((self.path / "result.json").read_text(encoding="utf-8"))
        except FileNotFoundError as cause:
            raise SpinodalError(
                got=f"the run in {self.path} is not finished ({self.journal.count} points so far)",
                allowed="a finished run can be shown",
                do="continue it: the same `spinodal map` command with --resume",
            ) from cause
        except ValueError as cause:
            raise SpinodalError(
                got=f"{self.path / 'result.json'} is damaged", allowed="JSON is needed", do="write it again with --resume"
            ) from cause
        if result.get("schema") != SCHEMA:
            raise SpinodalError(
                got=f"{self.path / 'result.json'} has schema {result.get('schema')!r}",
                allowed=f"schema {SCHEMA} is allowed",
                do="use the version of spinodal that wrote it",
            )
        return dict(result)

    def _require_run(self) -> None:
        if not self.is_run(self.path):
            raise SpinodalError(
                got=f"no run in {self.path}",
                allowed="a folder made by `spinodal map` is allowed",
                do="check the path; runs lie in runs/",
            )

    def _require_same(self, config: Mapping[str, Any], *, resume: bool) -> None:
        if not resume:
            raise SpinodalError(
                got=f"{self.path} already holds a run",
                allowed="a new folder, or --resume to continue this run, is allowed",
                do="add --resume, or give another --out",
            )
        old, new = _flat(self.config), _flat(_plain(config))
        different = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if different:
            changes = ", ".join(f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in different[:3])
            raise SpinodalError(
                got=f"{self.path} holds another run ({changes})",
                allowed="a run is resumed with the settings that began it",
                do="repeat those settings, or give another --out",
            )

    def _create(self, config: Mapping[str, Any]) -> None:
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise SpinodalError(
                got=f"{self.path} exists and is not a run folder",
                allowed="a new or empty folder is allowed",
                do="give another --out",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / "provenance.json", json.dumps(provenance(), indent=1) + "\n")
            write_whole(self.path / "config.toml", tomli_w.dumps(_plain(config)))
        except OSError as cause:
            raise SpinodalError(
                got=f"{self.path} cannot be written: {cause.strerror}",
                allowed="a writable place is needed",
                do="give another --out",
            ) from cause


def provenance() -> dict[str, Any]:
    """Return what made a run: versions, git state, host, threads, time."""
    return {
        "schema": SCHEMA,
        "spinodal": _version("spinodal"),
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in ("torch", "numpy", "scipy", "scikit-learn", "safetensors")},
        "git": _git(),
        "host": {"system": platform.platform(), "machine": platform.machine(), "cores": os.cpu_count()},
        "threads": torch.get_num_threads(),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
    }


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either the old or the new one, never half of it."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


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
