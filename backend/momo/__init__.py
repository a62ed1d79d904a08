"""Mobile money gateway: validates with billing, asks the provider for money, confirms what was paid.

Start at service.py; states.py is the life of a payment; providers/ speak the providers' contracts.
"""
