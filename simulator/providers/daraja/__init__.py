"""Safaricom Daraja, locally (spec/providers.md, section 1).

    GET  /oauth/v1/generate?grant_type=client_credentials    Basic key:secret; a token lives 3599 s
    POST /mpesa/stkpush/v1/processrequest · /mpesa/stkpushquery/v1/query
    POST /mpesa/c2b/v1|v2/registerurl · /mpesa/c2b/v1|v2/simulate
    POST /pulltransactions/v1/register · /pulltransactions/v1/query

A push is answered at once; the customer decides after `approve_after_s` and by the script of his number
(script.py): 001 ResultCode 1 · 002 1032 · 003 2001 · 004 1037 · 005 4. 020 answers 500.003.02 "System is
busy", 021 takes the push and answers 504, 022 answers every other push 429. Two rules of the contract need
no script: one push a customer at a time (500.001.1001 "Unable to lock subscriber ..."), and the same amount
again within two minutes of a paid one fails (ResultCode 17).

C2B: `simulate` lets a customer pay a paybill. The validation URL is asked where the short code has external
validation (8 s, else ResponseType decides), then the confirmation is sent, with the number masked by v2. A
paid push is confirmed there too, with its receipt. 011 loses callback and confirmation, 014 the callback
only, 012 doubles them, 013 sends them 10 s late. What was paid can be pulled for 48 hours, once registered.
"""
