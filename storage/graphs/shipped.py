"""The modules that every file knows."""

from __future__ import annotations

from storage.graphs.acl_graph import AclGraph
from storage.graphs.call_graph import CallGraph
from storage.graphs.module import Module
from storage.graphs.secret_graph import SecretGraph
from storage.graphs.session_graph import SessionGraph
from storage.graphs.task_graph import TaskGraph

SHIPPED: tuple[type[Module], ...] = (CallGraph, SecretGraph, AclGraph, SessionGraph, TaskGraph)
