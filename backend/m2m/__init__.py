"""The device service: commands to controllers, and everything that controllers report.

routes.py and files_routes.py parse and render, service.py decides on commands, registry.py on devices,
ingest.py on frames; firmware.py keeps what devices update to, feed.py is the way down, callbacks.py the way
back to who asked; store.py and what it names hold the SQL. Rules: resolutions 12-16, checklist 52-77,
DESIGN.md (Devices).
"""
