"""The call protocol: operations, who may call them, and what a call leaves in the log."""
