"""The spoke's end of the link: dials the hub, reads the log, keeps positions."""
