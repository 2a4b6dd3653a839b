"""Durable calls: both ends of a call whose request and result are events in the log, whatever carries them."""
