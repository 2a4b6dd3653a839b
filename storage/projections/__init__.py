"""From the log to rows: each projection turns the events of one stream into tables.

Rows are a function of the log: ids and times come from the events, so replaying gives the same bytes. The same event
twice changes nothing, and an outcome that comes before its request waits for it. A payload that is no event of the
stream's kind is noted in `projection_rejects` and passed over; it never blocks the ones behind it.
"""
