"""Event targets over a WebSocket: JSON text messages, one `EventEnvelope` each.

They take a socket that is open already, and do not close it: who opened it does. There is no replay here; what must
arrive goes through the link.
"""
