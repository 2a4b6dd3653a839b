"""Between nodes: the call protocol and the link."""
