"""Hands and eyes on the running virtual devices: their keypads, displays and lamps over HTTP."""
