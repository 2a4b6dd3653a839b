"""Operations: their contract, and those that are made from tables. Executing them is up to `sync.calls`."""
