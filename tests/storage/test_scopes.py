"""Scopes: the meet of two covers exactly what both cover."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.scopes import covers, grants, intersect, meet, reduced

segment = st.sampled_from(["a", "b", "*"])
scope = st.builds(lambda parts: ":".join(parts), st.lists(segment, min_size=1, max_size=2))
concrete = st.builds(lambda parts: ":".join(parts), st.lists(st.sampled_from("abc"), min_size=1, max_size=2))
scopes = st.frozensets(scope, max_size=4)


@given(one=scope, other=scope, wanted=concrete)
def test_the_meet_covers_what_both_cover(one: str, other: str, wanted: str) -> None:
    met = meet(one, other)
    assert (met is not None and grants(met, wanted)) == (grants(one, wanted) and grants(other, wanted))
    assert met == meet(other, one)


@given(one=scopes, other=scopes, wanted=concrete)
def test_the_intersection_of_sets(one: frozenset[str], other: frozenset[str], wanted: str) -> None:
    assert covers(intersect(one, other), wanted) == (covers(one, wanted) and covers(other, wanted))
    assert covers(reduced(one), wanted) == covers(one, wanted)
