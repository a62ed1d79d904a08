"""Schema history of `hub`, run at start by backend.kit.migrations."""
