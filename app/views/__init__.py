"""Read models: what is in the files as frozen snapshots, and pure layouts of it. CLI and TUI show the same."""
