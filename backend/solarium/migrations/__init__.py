"""The schema's history; tables.py is what it comes to."""
