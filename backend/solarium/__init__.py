"""Solarium, the billing platform: accounts, payments, the ledger, and what a payment sets going.

    payments     routes.py -> service.py -> confirmations.py (a batch, one transaction) -> posting.py (ledger)
    after them   outbox rows of that transaction -> orders.py, messages.py -> Moto, M2M, Mega (ports.py)
    devices      M2M's callback -> webhook.py -> service.py: the order is replied; billing events -> events.py
    questions    external.py (partners' payments), customers.py (by phone number), booked_routes.py (momo's)
    operators    operator_routes.py -> operations.py (accounts, devices), purchases.py (money that waited),
                 corrections.py (suspense, reversals), imports.py with judging.py and sheets.py (CSV);
                 registration.py hands new devices' secrets to Moto and M2M

store.py has the SQL of payments, orders and partners' access; the other *_store.py say whose they have.
"""
