"""The report: one HTML file that needs nothing else, neither the network nor the model."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from spinodal.errors import needing
from spinodal.files import write_whole, writing
from spinodal.landscape.reading.sentences import sentences
from spinodal.phases.diagram import Diagram
from spinodal.plots.axis import is_joined
from spinodal.plots.record import diagram_record
from spinodal.plots.style import FEW_MINOR
from spinodal.report.branch_rows import (
    back_table,
    branch_table,
    coexistence_table,
    existence_table,
    fall_table,
    special_point_table,
    spinodal_table,
)
from spinodal.report.certificates import certificate_sentences
from spinodal.report.contents import with_contents
from spinodal.report.curvature_rows import CAUTION, change_point_table, curvature_table, unseen, without
from spinodal.report.packed import packed
from spinodal.report.payload import payload, script_json
from spinodal.report.rows import MOST_MINOR, closed_form_table, cost, grouped, minor_table, phase_table, transition_table
from spinodal.report.shares import shares_section
from spinodal.shares.shares import Shares
from spinodal.version import __version__
from spinodal.words.in_full import MEANING, answer_sentences
from spinodal.words.repeats import SPREAD_NOTE
from spinodal.words.rows import BRACKET_NOTE


def save_report(
    diagram: Diagram,
    path: Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    placements: Sequence[Mapping[str, Any]] = (),
    shares: Shares | None = None,
) -> Path:
    """Write the report of a diagram as one HTML file and return its path.

    The file holds its scripts and its data and asks for nothing from any network; its own security
    policy forbids it. The figures show every point: ten thousand of them take half a megabyte.

    Parameters
    ----------
    diagram : Diagram
    path : Path
        Of the file to write, in an existing folder; it is replaced in one step.
    provenance : nested mapping of plain values, optional
        What made the run: versions, host, settings. Mappings in it become lists under their names.
    placements : sequence of mappings with "file" and "answer", optional
        Models that were placed on this map (see `Placement.to_dict`).
    shares : Shares, optional
        Of basins of this map.

    Raises
    ------
    SpinodalError
        If the file cannot be written, or a package that the report needs is missing.
    """
    text = render(diagram, provenance=provenance, placements=placements, shares=shares)
    return written(path, text)


def render(
    diagram: Diagram,
    *,
    provenance: Mapping[str, Any] | None = None,
    placements: Sequence[Mapping[str, Any]] = (),
    shares: Shares | None = None,
) -> str:
    """Return the report of a diagram as HTML (see `save_report`)."""
    diagram.control.require_l2("the report")
    record = diagram_record(diagram)
    data = payload(diagram, record)
    library, script = _plotly(), asset("report.js")
    return page_of(
        "report.html",
        scripts=(library, script),
        title=record.title,
        library=packed(library),
        script=script,
        data=packed(script_json(data)),
        figures=data["figures"],
        answer=answer_sentences(diagram),
        placements=placements,
        shares=None if shares is None else shares_section(shares),
        meaning=MEANING,
        bracket_note=f"{BRACKET_NOTE}; {SPREAD_NOTE}" if diagram.repeats else BRACKET_NOTE,
        convention=diagram.control.convention,
        shown=_shown(len(diagram.points)),
        reading=sentences(diagram.points[0].observation.reading),
        certificates=certificate_sentences(diagram),
        cost=cost(diagram),
        origin=_origin(diagram, provenance or {}),
        **_walks(diagram),
        **_branches(diagram),
        **_curvature(diagram),
    )


def _shown(points: int) -> str:
    return f"The figures show all {points:,} points." if points > 1 else "The figures show the only point."


def _walks(diagram: Diagram) -> dict[str, Any]:
    """Return the tables of what the walks met."""
    return {
        "transitions": transition_table(diagram),
        "minor": minor_table(diagram),
        "minor_count": sum(transition.minor for transition in diagram.transitions),
        "minor_most": MOST_MINOR,
        "few": FEW_MINOR,
        "back": back_table(diagram),
        "looped": diagram.back is not None,
        "phases": phase_table(diagram),
        "closed_forms": closed_form_table(diagram),
    }


def _branches(diagram: Diagram) -> dict[str, Any]:
    """Return the tables of what branches, and of a loop the way back, tell of the phases."""
    special, special_count = special_point_table(diagram)
    return {
        "existence": existence_table(diagram),
        "joined": is_joined(diagram),
        "falls": fall_table(diagram),
        "spinodals": spinodal_table(diagram),
        "coexistence": coexistence_table(diagram),
        "branches": branch_table(diagram),
        "special": special,
        "special_count": special_count,
    }


def _curvature(diagram: Diagram) -> dict[str, Any]:
    """Return the tables of the curvature, and what is to be said of it."""
    return {
        "curvature": curvature_table(diagram),
        "change_points": change_point_table(diagram),
        "caution": CAUTION,
        "curvature_notes": [note for note in (unseen(diagram), *without(diagram)) if note],
        "curvature_caveats": diagram.curvature.caveats if diagram.curvature else (),
    }


def _origin(diagram: Diagram, provenance: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return task and provenance as titled lists; what the settings of a run say of its task is not repeated."""
    settings = provenance.get("settings")
    if isinstance(settings, Mapping):
        provenance = {**provenance, "settings": {key: value for key, value in settings.items() if key != "task"}}
    return grouped({**diagram.task, "seed of the map": diagram.seed}, "task") + grouped(provenance, "run")


def page_of(name: str, *, scripts: Sequence[str] = (), **content: Any) -> str:
    """Return a page from its template: with its style, its table of contents, and a policy that runs its scripts alone."""
    page: str = template(name).render(**content, policy=policy(scripts), style=asset("report.css"), version=__version__)
    return encodable(with_contents(page))


def encodable(page: str) -> str:
    """Return a page without what UTF-8 does not have, as names of files may."""
    return page.encode("utf-8", "replace").decode("utf-8")


def written(path: Path, page: str) -> Path:
    """Write a page as one file, replaced in one step, and return its path."""
    with writing(path):
        write_whole(path, page)
    return path


def template(name: str) -> Any:
    """Return a template of this room."""
    with needing("jinja2", "the report needs"):
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    return Environment(
        loader=FunctionLoader(asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(name)


def _plotly() -> str:
    """Return the script of plotly.js, as the plotly package ships it."""
    with needing("plotly", "the report needs"):
        from plotly.offline import get_plotlyjs
    return str(get_plotlyjs())


def asset(name: str) -> str:
    """Return the text of a file of this room."""
    return files("spinodal.report").joinpath(name).read_text(encoding="utf-8")


def policy(scripts: Sequence[str]) -> str:
    """Return a security policy that runs these scripts and no other, and loads nothing."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed, none = " ".join(f"'sha256-{digest}'" for digest in digests), "'none'"
    return (
        f"default-src 'none'; script-src {allowed or none}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
