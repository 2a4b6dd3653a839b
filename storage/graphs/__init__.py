"""The metagraph: typed graphs in six tables. Modules declare types, `writing` checks and writes, `queries` reads."""
