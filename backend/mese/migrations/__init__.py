"""Schema history of `mese`."""
