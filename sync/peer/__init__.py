"""One session between two nodes, whichever end it is: carries out over a connection and a file what the core decides."""
