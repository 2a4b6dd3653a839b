"""Who is who on a hub: accounts, organisations, members, keys, and the trail of what was done to them.

Every function works inside the caller's transaction on `system.db` and writes the audit trail and its notifications in
it: what is audited happened, and what happened is audited.
"""
