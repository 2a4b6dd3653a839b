"""What keeps this process from being ready; a module of its own, since commands that project import it too."""

from __future__ import annotations

not_ready: dict[str, str] = {}
"""By service: what it does before this process does what it is for. A service takes its own away."""
