"""Results as JSON, and README.md from them and from README.in.md: the numbers of measurements are in one place.

In README.in.md `{{NAME}}` stands for the hardware line of `results/NAME.json`, and `{{NAME.2}}`, alone on its line, for the
second of its tables. All else is prose, written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS, SOURCE, PAGE = HERE / "results", HERE / "README.in.md", HERE / "README.md"
HARDWARE = re.compile(r"^\S.*? \(\d+ cores\), \d+ thread\S* used, torch \S+, spinodal \S+, Python \S+, (\d{4}-\d\d-\d\d)", re.M)
PLACE = re.compile(r"\{\{([\w-]+)(?:\.(\d+))?\}\}")
TABLE = re.compile(r"(?:^\|.*\|\n)+", re.M)
ROW = re.compile(r"\[\n\s+(\"[^\n\[\]]*\"(?:,\n\s+\"[^\n\[\]]*\")*)\n\s+\]")  # a list of texts in JSON, which is kept on a line
BREAK = re.compile(r",\n\s+")
COMMAND = re.compile(r"^    (?:\w+=\S+ )*(\S*python bench/\S+\.py.*?)(?: +#.*| *\\)?$", re.M)


def rendered(source: str) -> str:
    """Return the page of a source, with the results in their places.

    Examples
    --------
    >>> rendered("Nothing is measured here.")
    'Nothing is measured here.'
    """
    return PLACE.sub(lambda place: _shown(place[1], place[2]), source)


def _shown(name: str, number: str | None) -> str:
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return str(result["hardware"]) if number is None else "\n".join(table_lines(result["tables"][int(number) - 1]))


def table_lines(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    for row in (table["header"], ["---"] * len(table["header"]), *table["rows"]):
        yield f"| {' | '.join(row)} |"


def table_of(text: str) -> dict[str, Any]:
    """Return header and rows of a table in Markdown.

    Examples
    --------
    >>> table_of("| net | ms |\\n| --- | --- |\\n| 3-4-2 | 0.5 |\\n")
    {'header': ['net', 'ms'], 'rows': [['3-4-2', '0.5']]}
    """
    header, _, *rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines()]
    return {"header": header, "rows": rows}


def result_of(printed: str, command: str) -> dict[str, Any]:
    """Return what a script printed as a result: hardware and date, tables with the lines before them as titles, and notes."""
    hardware = HARDWARE.search(printed)
    titles, tables, end = list[str](), list[dict[str, Any]](), hardware.end() if hardware else 0
    for found in TABLE.finditer(printed, end):
        titles.append(printed[end : found.start()].strip())
        tables.append({"title": titles[-1], **table_of(found[0])})
        end = found.end()
    notes = [line for line in printed[end:].splitlines() if line.strip()]
    line, date = (hardware[0], hardware[1]) if hardware else ("", "")
    return {"command": command, "date": date, "hardware": line, "tables": tables, "notes": notes}


def kept(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result, a row of a table in a line, and return where it lies."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps(result, indent=1, ensure_ascii=False)
    path.write_text(ROW.sub(lambda row: f"[{BREAK.sub(', ', row[1])}]", text) + "\n", encoding="utf-8")
    return path


def taken(page: str) -> str:
    """Return the source of a page that was written by hand: hardware lines and tables are kept as results, and named instead.

    A hardware line begins a result; it is named by its section, and has the first command of that. Results that are
    as they were stay as they are.
    """
    heads = re.split(r"(?m)^(?=## )", page)
    return heads[0] + "".join(_section(text) for text in heads[1:])


def _section(text: str) -> str:
    stem = re.sub(r"\W+", "-", text.partition("\n")[0].removeprefix("## ").removesuffix(".py").lower()).strip("-")
    borders = [0, *(found.start() for found in HARDWARE.finditer(text)), len(text)]
    number, shown = 0, ""
    for start, end in pairwise(borders):
        part = text[start:end]
        if HARDWARE.search(part) or TABLE.search(part):
            number += 1
            command = next(iter(COMMAND.findall(text)), "")
            part = _named(part, stem if number == 1 else f"{stem}-{number}", command)
        shown += part
    return shown


def _shown_by(name: str) -> tuple[str, list[tuple[list[str], list[list[str]]]]] | None:
    """Return what a page shows of a result, None where there is none of that name."""
    place = RESULTS / f"{name}.json"
    if not place.exists():
        return None
    result = json.loads(place.read_text(encoding="utf-8"))
    return result["hardware"], [(table["header"], table["rows"]) for table in result["tables"]]


def _named(part: str, name: str, command: str) -> str:
    """Keep what a part of a section has of one run, and return it with the names of these."""
    tables = TABLE.findall(part)
    hardware = HARDWARE.search(part)
    line, date = (hardware[0], hardware[1]) if hardware else ("", "")
    of = [{"title": "", **table_of(table)} for table in tables]
    if _shown_by(name) != (line, [(table["header"], table["rows"]) for table in of]):
        kept(name, {"command": command, "date": date, "hardware": line, "tables": of, "notes": []})
    for place, table in enumerate(tables, start=1):
        part = part.replace(table, f"{{{{{name}.{place}}}}}\n", 1)
    return HARDWARE.sub(f"{{{{{name}}}}}", part, count=1)
