"""One session between two nodes, at either end: carries out over a connection and a file what the core decides."""
