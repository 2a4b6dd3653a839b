"""What runs in the background of a node: projector, uplink, and the supervisor that keeps them going."""
