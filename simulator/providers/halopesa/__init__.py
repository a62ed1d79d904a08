"""Halopesa through AzamPay's checkout, locally (spec/providers.md, section 3c).

    POST /AppRegistration/GenerateToken    appName, clientId, clientSecret; a token lives 24 hours
    POST /azampay/mno/checkout             Bearer, X-API-Key and a checksum: HMAC-SHA256 of the sorted body
    GET  /azampay/v1/public-key            what the callbacks' signatures are checked with

A checkout is taken at once; the customer decides after `approve_after_s`, by the script of his number
(script.py): 001 to 005 fail with a message each. There is no query for checkouts: 011, the lost callback, is
settled by reconciliation. 012 doubles the callback, 013 sends it 10 s late. 020 answers HTTP 503, 021 takes
the checkout and answers 504, 022 answers every other one 429. Nothing recognises a repeated externalId: each
is a checkout of its own. The RSA key that signs callbacks is made at the first start.
"""
