"""Solarium, the billing platform: accounts, payments, the ledger, and what a payment sets going.

routes.py -> service.py -> posting.py (what a payment does to the ledger) -> store.py (one transaction)
the transaction's outbox rows -> orders.py -> Moto, M2M, Mega (ports.py)
M2M's callback -> routes.py -> the order is replied; its billing events -> events.py
operator_routes.py -> operations.py (accounts, devices), corrections.py (money), imports.py (CSV)
registration.py hands new devices' secrets to Moto
"""
