"""The table of contents of a page, from its own headings."""

from __future__ import annotations

import re

PLACE = '<nav id="contents" aria-label="Contents"></nav>'
SECTION = re.compile(r'<section id="([\w-]+)">\s*<h2>(.*?)</h2>')
FEW = 3  # sections below which there is nothing to look up


def with_contents(page: str) -> str:
    """Return a page with links to its sections where it has room for them.

    Examples
    --------
    >>> with_contents(PLACE + '<section id="a"><h2>A</h2>' * 3)[:62]
    '<nav id="contents" aria-label="Contents"><a href="#a">A</a> <a'
    """
    found = SECTION.findall(page)
    links = " ".join(f'<a href="#{name}">{title}</a>' for name, title in found) if len(found) >= FEW else ""
    return page.replace(PLACE, PLACE.replace("></nav>", f">{links}</nav>") if links else "", 1)
