"""The thirteen operators over async iterables. Each is lazy, and holds only what it names."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Hashable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K", bound=Hashable)


async def filter(source: AsyncIterable[T], keep: Callable[[T], bool]) -> AsyncIterator[T]:
    """Items for which `keep` says so."""
    async for item in source:
        if keep(item):
            yield item


async def map(source: AsyncIterable[T], change: Callable[[T], U]) -> AsyncIterator[U]:
    """What `change` makes of each item."""
    async for item in source:
        yield change(item)


async def take(source: AsyncIterable[T], number: int) -> AsyncIterator[T]:
    """The first `number` items; the source is not asked for more."""
    if number <= 0:
        return
    async for item in source:
        yield item
        number -= 1
        if number == 0:
            return


async def reduce(source: AsyncIterable[T], fold: Callable[[U, T], U], start: U) -> U:
    """All items folded into one value."""
    value = start
    async for item in source:
        value = fold(value, item)
    return value


async def to_array(source: AsyncIterable[T]) -> list[T]:
    """All items."""
    return [item async for item in source]


async def batch(source: AsyncIterable[T], size: int) -> AsyncIterator[list[T]]:
    """Items in lists of `size`; the last one may be shorter."""
    _positive(size)
    found: list[T] = []
    async for item in source:
        found.append(item)
        if len(found) == size:
            yield found
            found = []
    if found:
        yield found


async def dedupe(
    source: AsyncIterable[T], key: Callable[[T], Hashable] = lambda item: item, remember: int = 10_000
) -> AsyncIterator[T]:
    """Items whose key is not among the last `remember` ones."""
    _positive(remember)
    seen: OrderedDict[Hashable, None] = OrderedDict()
    async for item in source:
        name = key(item)
        if name in seen:
            seen.move_to_end(name)
            continue
        seen[name] = None
        if len(seen) > remember:
            seen.popitem(last=False)
        yield item


async def window(source: AsyncIterable[T], size: int) -> AsyncIterator[tuple[T, ...]]:
    """Every `size` items that follow one another."""
    _positive(size)
    last: deque[T] = deque(maxlen=size)
    async for item in source:
        last.append(item)
        if len(last) == size:
            yield tuple(last)


async def flat(source: AsyncIterable[Iterable[T]]) -> AsyncIterator[T]:
    """The items of the items."""
    async for items in source:
        for item in items:
            yield item


async def group_by(source: AsyncIterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """All items by key, in order."""
    groups: dict[K, list[T]] = {}
    async for item in source:
        groups.setdefault(key(item), []).append(item)
    return groups


async def chain(*sources: AsyncIterable[T]) -> AsyncIterator[T]:
    """One source after another."""
    for source in sources:
        async for item in source:
            yield item


async def join(*sources: AsyncIterable[T]) -> AsyncIterator[T]:
    """Several sources at once, items as they come, each source in its order. The first error of one ends all."""
    iterators = [aiter(source) for source in sources]
    asked: dict[asyncio.Future[T], AsyncIterator[T]] = {}
    try:
        for iterator in iterators:
            asked[asyncio.ensure_future(_next(iterator))] = iterator
        while asked:
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                iterator = asked.pop(future)
                try:
                    item = future.result()
                except StopAsyncIteration:
                    continue
                yield item
                asked[asyncio.ensure_future(_next(iterator))] = iterator
    finally:
        for future in asked:
            future.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def pipe(source: Any, *operators: Callable[[Any], Any]) -> Any:
    """`pipe(source, a, b)` is `b(a(source))`."""
    value = source
    for operator in operators:
        value = operator(value)
    return value


async def _next(iterator: AsyncIterator[T]) -> T:
    return await anext(iterator)


def _positive(number: int) -> None:
    if number < 1:
        raise ValueError("must be at least 1")
