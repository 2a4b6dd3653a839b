"""What is wrong on this machine, and how to mend it: small looks, each with its world given to it."""
