"""The link's own state: positions of both ends (`sync/link`)."""

from __future__ import annotations

DDL = """
"""
