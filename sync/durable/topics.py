"""Where durable calls lie in a file: the streams of the link, and their topics. Imports nothing."""

from __future__ import annotations

CALLS, RESULTS = "calls", "results"
"""The streams, as they are called on the link."""
HUB = "hub"
"""What a spoke calls its hub. The hub calls a spoke by its node id."""


def calls_to(peer: str) -> str:
    """The topic of our calls to a peer."""
    return f"{CALLS}>{peer}"


def calls_from(peer: str) -> str:
    """The topic in which a peer's calls arrive."""
    return f"{CALLS}@{peer}"


def results_to(peer: str) -> str:
    """The topic of our results for a peer."""
    return f"{RESULTS}>{peer}"


def results_from(peer: str) -> str:
    """The topic in which a peer's results arrive."""
    return f"{RESULTS}@{peer}"


NODE = "node"
"""The stream, and the topic on a spoke, in which it says what it offers."""
