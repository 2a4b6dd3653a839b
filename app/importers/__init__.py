"""Importers: logs that agent tools already write, as sessions of calls."""
