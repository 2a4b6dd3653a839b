"""Any JSON value, as people send who mean no good or know no better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st


def json_values(*, words: Sequence[Any] = (), keys: Sequence[str] = ()) -> st.SearchStrategy[Any]:
    """Values with some of the `words` and objects with some of the `keys` that mean something to who reads them."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from([2**53, 2**63, -(2**63) - 1, 10**400])
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
    )
    names = st.text() | st.sampled_from(keys) if keys else st.text()
    return st.recursive(
        leaves | st.sampled_from(words) if words else leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
        max_leaves=8,
    )
