"""The tables of a tenant file and of the hub's system file, one family a module."""
