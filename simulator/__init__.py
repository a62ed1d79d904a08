"""Worlds: clocks, fleets, provider sandboxes, invariants. Never part of a production process."""
