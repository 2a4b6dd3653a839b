"""The filter language of every list: words, !inverse, ~fuzzy, field:value with comparisons. Pure.

build !draft            "build" occurs, "draft" does not
~shrun                  the letters occur in this order
state:failed,aborted    the field is one of these
lag:>100 took:>1.5s     numbers compare; units: k M ms s min h d kB MB
"two words"             quotes hold words together
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

_TERM = re.compile(r'(!?)(~?)((?:[\w.-]+:)?)(?:"([^"]*)"?|(\S*))')
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(k|M|ms|s|min|h|d|kB|MB|)")
_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6, "d": 8.64e7, "kB": 1e3, "MB": 1e6}
"""Times are milliseconds and sizes bytes, as the rows hold them."""
_COMPARISONS: tuple[tuple[str, Callable[[float, float], bool]], ...] = (
    (">=", operator.ge),
    ("<=", operator.le),
    (">", operator.gt),
    ("<", operator.lt),
)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `field` is None for words that may occur anywhere."""

    text: str
    field: str | None
    fuzzy: bool
    inverse: bool
    compare: tuple[str, float] | None

    def matches(self, line: str, fields: Mapping[str, object]) -> bool:
        """Whether a row passes. `line` is all of its text in lower case."""
        return self._holds(line, fields) is not self.inverse

    def _holds(self, line: str, fields: Mapping[str, object]) -> bool:
        if self.field is None:
            return _in_order(self.text, line) if self.fuzzy else self.text in line
        value = fields[self.field]
        if self.compare is not None:
            sign, number = self.compare
            known = isinstance(value, int | float)
            return known and dict(_COMPARISONS)[sign](float(value), number)  # type: ignore[arg-type]
        text = "" if value is None else str(value).lower()
        if self.fuzzy:
            return _in_order(self.text, text)
        if isinstance(value, int | float):
            return any(_number(one) == value for one in self.text.split(","))
        return any(one in text for one in self.text.split(",") if one)


@dataclass(frozen=True, slots=True)
class Filter:
    """All of the conditions; without any, everything passes."""

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def matches(self, line: str, fields: Mapping[str, object]) -> bool:
        """Whether a row with this text and these fields passes."""
        lowered = line.lower()
        return all(term.matches(lowered, fields) for term in self.terms)


def parse_filter(text: str, fields: Iterable[str] = ()) -> Filter:
    """Read a filter as it stands, also half typed: nothing that a person types is an error.

    `word:` is a qualifier when `fields` has that name, else part of the word (`http://…`).
    """
    known = frozenset(fields)
    return Filter(
        tuple(term for found in _TERM.finditer(text) if found[0] and (term := _term(found, known)) is not None)
    )


def _term(found: re.Match[str], known: frozenset[str]) -> Term | None:
    inverse, fuzzy, qualifier, quoted, bare = found.groups()
    body = (quoted if quoted is not None else bare or "").lower()
    if not body and qualifier.removesuffix(":") in known:
        return None  # "lag:" while it is typed
    field: str | None = qualifier.removesuffix(":") if qualifier else None
    if field is not None and field not in known:
        field, body = None, qualifier.lower() + body
    compare = None
    if field is not None and quoted is None:
        for sign, _ in _COMPARISONS:
            if body.startswith(sign):
                number = _number(bare[len(sign) :])
                if number is None:
                    return None  # "lag:>" while it is typed
                compare = (sign, number)
                break
    if not body:
        return None
    return Term(body, field, bool(fuzzy), bool(inverse), compare)


def _number(text: str) -> float | None:
    found = _NUMBER.fullmatch(text)
    return float(found[1]) * _UNITS[found[2]] if found else None


def _in_order(letters: str, text: str) -> bool:
    at = -1
    for letter in letters:
        at = text.find(letter, at + 1)
        if at < 0:
            return False
    return True


def near(text: str, names: Sequence[str]) -> list[str]:
    """The names that match what was typed: those that are it, begin with it, contain it, have its letters, in turn."""
    lowered = text.lower().strip()
    begins = [name for name in names if name.lower().startswith(lowered)]
    begins.sort(key=lambda name: name.lower() != lowered)
    contains = [name for name in names if lowered in name.lower() and name not in begins]
    letters = [
        name
        for name in names
        if name not in begins and name not in contains and _in_order(lowered.replace(" ", ""), name.lower())
    ]
    return begins + contains + letters
