"""Graphs as people see them: the list, the outline, the neighbourhood of a node, a picture of a small one.

Readers ask for what is shown and nothing more: a graph of a million nodes opens as fast as one of ten. Lines and
layouts are pure; the command line and the terminal UI share them.
"""
