"""What can be wrong with a graph; nothing was written when one of these is raised."""

from __future__ import annotations

from collections.abc import Sequence

from storage.engine.errors import EngineError


class GraphError(EngineError, ValueError):
    """Base of everything that the metagraph refuses."""


class ModuleError(GraphError):
    """A module does not follow the naming convention; its author must mend it."""


class UnknownTypeError(GraphError):
    """There is no graph, node or edge type of that name."""

    hint = "the message names those that there are"


class NotFoundError(GraphError, LookupError):
    """There is no such graph, node or edge."""

    hint = "look for it with `graphs.list` or `nodes.list`"


class AttributesError(GraphError):
    """Attributes do not fit the schema of their type; `problems` has one line for each."""

    hint = "correct the attributes; the type's schema is in node_types or edge_types"

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        super().__init__(f"{what}: {'; '.join(problems)}")
        self.problems = tuple(problems)


class TooLargeError(GraphError):
    """Attributes are larger than a node or an edge may carry."""

    hint = "keep large data in files and put their names into the attributes"


class EdgeRefusedError(GraphError):
    """An edge breaks a rule of its graph: a loop, a parallel edge, a direction, types that may not be joined."""


class DanglingEdgeError(GraphError):
    """An edge names a node that is not in its graph."""

    hint = "create the node first"


class FormatError(GraphError):
    """A file is not of the format that it should have."""

    hint = "nothing was imported"
