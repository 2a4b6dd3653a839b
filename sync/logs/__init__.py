"""What both ends of the link read from and write to their files: logs that are sent, logs that are received."""
