"""SMS gateway: takes short messages, sends them through the market's provider, follows their delivery.

Start at service.py; providers/ speak the providers' contracts; segments.py counts what a text costs;
desk.py answers what customers send.
"""
