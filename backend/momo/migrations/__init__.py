"""Schema history of `momo`."""
