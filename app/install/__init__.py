"""Spoke on a machine: its releases, its service, how one release follows another."""
