"""What travels: the event envelope, the call protocol's five events, session events."""
