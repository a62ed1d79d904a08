"""The device service: commands to controllers, and everything that controllers report.

routes.py parses and renders, service.py decides on commands and devices, ingest.py on frames, feed.py is the
way down, callbacks.py the way back to who asked; store.py holds the SQL. Rules: resolutions 12-16,
checklist 52-77, DESIGN.md (Devices).
"""
