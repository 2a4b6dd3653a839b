"""Tests of how the executable is built."""
