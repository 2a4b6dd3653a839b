"""The hub's end of the link: accepts, authenticates, stores events and cursor in one transaction, acknowledges."""
