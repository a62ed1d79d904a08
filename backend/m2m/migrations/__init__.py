"""Schema history of `m2m`, run at start by backend.kit.migrations."""
