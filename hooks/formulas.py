"""Formulas of the pages, typeset as they are built: blocks of TeX become MathML, which browsers draw without any script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

BLOCK = re.compile(r"^```math\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\s+|\S")

LETTERS = {
    "beta": "β", "theta": "θ", "lambda": "λ", "varphi": "φ", "rho": "ρ", "delta": "δ", "eta": "η", "nabla": "∇", "partial": "∂",
}  # fmt: skip
OPERATORS = {
    "cdot": "·", "times": "×", "le": "≤", "ge": "≥", "approx": "≈", "to": "→", "int": "∫", "sum": "∑", "ldots": "…",
    "lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "{": "{", "}": "}", "min": "min", "max": "max",
}  # fmt: skip
SPACES = {"quad": "1.5em", ",": "0.17em", ";": "0.28em"}
NAMES = {"text": "mtext", "operatorname": "mi", "mathrm": "mi"}  # commands of a text in braces
BELOW = ("\\min", "\\max", "\\sum")  # their lower script stands under them
SCRIPTS = {"_": "msub", "^": "msup", "_^": "msubsup"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Typeset the formulas of a page; mkdocs calls it."""
    return BLOCK.sub(lambda found: f'<div class="formula">{mathml(found[1].strip())}</div>', markdown)


def mathml(tex: str) -> str:
    r"""Return a formula as MathML, with its TeX beside it; every line of the formula is one of the result.

    Raises
    ------
    ValueError
        For a command that is not known, and for braces that do not match.

    Examples
    --------
    >>> mathml(r"\beta^2").partition("<mtd>")[2].partition("</mtd>")[0]
    '<mrow><msup><mi>β</mi><mn>2</mn></msup></mrow>'
    """
    rows = "".join(f"<mtr><mtd>{Reader(line).formula()}</mtd></mtr>" for line in tex.splitlines())
    return f'<math display="block" alttext="{escape(tex)}"><mtable displaystyle="true">{rows}</mtable></math>'


class Reader:
    """Reads one line of TeX from left to right."""

    def __init__(self, tex: str) -> None:
        self.tex, self.tokens, self.place = tex, TOKEN.findall(tex), 0

    def formula(self) -> str:
        """Return the whole line."""
        return f"<mrow>{''.join(self._until(''))}</mrow>"

    def _until(self, end: str) -> Iterator[str]:
        while (token := self._next(blank=True)) != end:
            if not token:
                raise ValueError(f"a brace of {self.tex!r} is not closed")
            if token.strip():
                yield self._scripted(token)

    def _scripted(self, token: str) -> str:
        """Return an atom with what stands above and below it."""
        atom, found = self._atom(token), {}
        while self._seen() in ("_", "^"):
            kind = self._next()
            found[kind] = self._argument()
        if not found:
            return atom
        kinds = "".join(sorted(found, key="_^".index))
        name = "munder" if kinds == "_" and token in BELOW else SCRIPTS[kinds]
        return f"<{name}>{atom}{''.join(found[kind] for kind in kinds)}</{name}>"

    def _argument(self) -> str:
        return self._atom(self._next())

    def _atom(self, token: str) -> str:
        if token in ("", "}", "^", "_", "&", "#", "$", "%"):
            raise ValueError(f"{token!r} has no place in {self.tex!r}")
        if token == "{":
            return f"<mrow>{''.join(self._until('}'))}</mrow>"
        if token[0] == "\\":
            return self._command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        return _operator(escape({"-": "−", "*": "·"}.get(token, token)))

    def _command(self, name: str) -> str:
        if name in LETTERS:
            return f"<mi>{LETTERS[name]}</mi>"
        if name in OPERATORS:
            return _operator(OPERATORS[name])
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}"></mspace>'
        if name in NAMES:
            text = escape(self._text()).replace(" ", "\u00a0")  # which no browser strips at the ends
            space = f'<mspace width="{SPACES[","]}"></mspace>' if name == "operatorname" and self._seen() != "(" else ""
            return f'<{NAMES[name]} mathvariant="normal">{text}</{NAMES[name]}>{space}'
        if name == "frac":
            return f"<mfrac>{self._argument()}{self._argument()}</mfrac>"
        raise ValueError(f"\\{name} of {self.tex!r} is not known")

    def _text(self) -> str:
        """Return what stands in braces, blanks and all."""
        if self._next() != "{":
            raise ValueError(f"a text of {self.tex!r} is not in braces")
        parts = []
        while (token := self._next(blank=True)) != "}":
            if not token:
                raise ValueError(f"a text of {self.tex!r} has no end")
            parts.append(token)
        return "".join(parts)

    def _seen(self) -> str:
        """Return the next token that is no blank, "" at the end, and stay before it."""
        rest = (token for token in self.tokens[self.place :] if token.strip())
        return next(rest, "")

    def _next(self, *, blank: bool = False) -> str:
        """Return the next token, "" at the end; blanks are passed over unless asked for."""
        while self.place < len(self.tokens):
            self.place += 1
            token = self.tokens[self.place - 1]
            if blank or token.strip():
                return token
        return ""


def _operator(sign: str) -> str:
    """Return an operator of the size of its letters, brackets among them."""
    return f'<mo stretchy="false">{sign}</mo>'
