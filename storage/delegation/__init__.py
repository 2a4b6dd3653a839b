"""Delegation across tenants: a principal of one tenant lets a principal of another act for it, within limits.

Three files speak of one delegation, and SQLite has no transaction over three files. `system.db` holds what is wanted
(`intents`), each of the two tenants' ACL graphs a trace of it (`traces`), and `settling` makes the traces what is
wanted, from any state in which a crash or a restored backup left them. `authority` says what a delegation gives, now.
"""
