"""Equity's Jenga v3 and EazzyPay, locally (spec/providers.md, section 3b).

    POST /authentication/api/v3/authenticate/merchant    header Api-Key; a token lives 15 minutes
    POST /v3-apis/payment-api/v3.0/stkussdpush/initiate  header Signature: RSA-SHA256 over account, ref,
                                                         number, telco, amount and currency
    POST /simulate/eazzypay                              ours: a customer pays the till; the IPN follows

A push is acknowledged with code -1; the customer decides after `approve_after_s`, by the script of his number
(script.py): 001 and 003 code 1 · 002 code 5 · 004 code 6 · 005 code 7; paid is code 3. There is no query:
011, the lost callback, is settled by reconciliation. 012 doubles the callback, 013 sends it 10 s late. 020
answers HTTP 503, 021 takes the push and answers 504, 022 answers every other push 429. The same ref again is
400101; a signature that is missing or wrong 900100 or 900101. The IPN comes with the Basic login agreed on.
"""
