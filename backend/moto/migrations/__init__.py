"""Schema history of `moto`, run at start by backend.kit.migrations."""
