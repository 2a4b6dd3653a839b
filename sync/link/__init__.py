"""The link's pure core: frames, positions and the state machines of both ends. No socket, clock or database inside."""
