"""The operators against what the same does to a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.events import operators as op

numbers = st.lists(st.integers(0, 5), max_size=12)


async def items(values: list[Any]) -> AsyncIterator[Any]:
    for value in values:
        yield value


def run(source: Any) -> list[Any]:
    return asyncio.run(op.to_array(source))


@given(values=numbers, size=st.integers(1, 4))
def test_they_do_what_their_names_say(values: list[int], size: int) -> None:
    assert run(op.filter(items(values), lambda n: n % 2 == 0)) == [n for n in values if n % 2 == 0]
    assert run(op.map(items(values), str)) == [str(n) for n in values]
    assert run(op.take(items(values), size)) == values[:size]
    assert asyncio.run(op.reduce(items(values), lambda a, b: a + b, 0)) == sum(values)
    assert run(op.batch(items(values), size)) == [values[n : n + size] for n in range(0, len(values), size)]
    assert run(op.dedupe(items(values))) == list(dict.fromkeys(values))
    assert run(op.window(items(values), size)) == [
        tuple(values[n : n + size]) for n in range(max(0, len(values) - size + 1))
    ]
    assert run(op.flat(items([[n, n] for n in values]))) == [m for n in values for m in (n, n)]
    groups = asyncio.run(op.group_by(items(values), lambda n: n % 3))
    assert groups == {key: [n for n in values if n % 3 == key] for key in dict.fromkeys(n % 3 for n in values)}
    assert run(op.chain(items(values), items(values))) == values * 2
    joined = run(op.join(items(values), items([n + 10 for n in values])))
    assert [n for n in joined if n < 10] == values
    assert [n - 10 for n in joined if n >= 10] == values
    piped = op.pipe(items(values), lambda s: op.filter(s, lambda n: n > 1), lambda s: op.take(s, 2))
    assert run(piped) == [n for n in values if n > 1][:2]


def test_take_asks_for_no_more_than_it_gives() -> None:
    asked = []

    async def counted() -> AsyncIterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    assert run(op.take(counted(), 2)) == [0, 1]
    assert asked == [0, 1]
    assert run(op.take(counted(), 0)) == []


def test_dedupe_remembers_no_more_than_it_says() -> None:
    assert run(op.dedupe(items([1, 2, 3, 1]), remember=2)) == [1, 2, 3, 1]
    for bad in (op.batch(items([]), 0), op.window(items([]), 0), op.dedupe(items([]), remember=0)):
        with pytest.raises(ValueError, match="at least 1"):
            run(bad)


def test_join_ends_with_the_first_error() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        run(op.join(broken(), items([2])))
