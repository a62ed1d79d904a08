"""The device service: commands to controllers, and everything that controllers report.

    commands   intake.py (commands.py: what a request asks for) -> creation.py -> delivery.py (its ways):
               feed.py to the bridge, ingest.py with a check-in, sms.py; lifecycle.py ends them, callbacks.py
               tells who asked
    frames     uplink.py (or lines.py) -> ingest.py (a batch in one transaction) -> downlink.py (the answer);
               events.py to the ops topics, billing.py to Solarium, recovery.py for who lost its store
    devices    registry.py adds them, presence.py knows who is online, firmware.py what they update to
    by time    housekeeping.py: expiry (lifecycle.py), retention.py; history.py shows what is kept

store.py, and what it names, has the SQL. Rules: resolutions 12-16, checklist 52-77.
"""
