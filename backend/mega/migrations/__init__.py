"""Schema history of `mega`."""
