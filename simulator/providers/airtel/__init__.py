"""Airtel Money Africa, locally (spec/providers.md, section 3a).

    POST /auth/oauth2/token    client_id, client_secret; a token lives 180 s
    GET  /v1/rsa/encryption-keys · POST /merchant/v2/payments/ (signed; v1: unsigned)
    GET  /standard/v1/payments/{id} · POST /standard/v1/payments/refund    all of a payment, once

Headers X-Country and X-Currency name the market, and must be those of the body. A payment is answered at once
(DP00800001006, in process); a business failure is HTTP 200 with `success: false`. The customer decides after
`approve_after_s`, by the script of his number (script.py): 001 DP00800001007 · 002 ...08 · 003 ...02 ·
004 TE, expired · 005 ...03. 020 answers ROUTER408, which says nothing, and takes nothing; 021 takes the
payment and answers HTTP 504; 022 answers every other request 429. The same id again is ESB000041, an id that
nobody sent ESB000045.

One callback goes to the application's registered address, with the HMAC of the transaction as `hash`; 011
loses it, 012 doubles it, 013 sends it 10 s late. The RSA key of the signatures is made at the first start.
"""
