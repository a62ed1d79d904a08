"""MTN MoMo Collections, locally (spec/providers.md, section 2; production mode, resolutions 26).

    POST /v1_0/apiuser · GET /v1_0/apiuser/{id} · POST /v1_0/apiuser/{id}/apikey
    POST /collection/token/ · POST /collection/v1_0/requesttopay · GET /collection/v1_0/requesttopay/{ref}
    GET /collection/v1_0/account/balance · GET /collection/v1_0/accountholder/msisdn/{m}/active

The customer decides by himself after `approve_after_s`, by his number, and pays unless it is one of these,
which are the provider's own. The decision is an outbox row, and so is the callback: both outlive the process.

    taken, then failed: 46733123450 internal error     451 rejected     452 expired     455 no such payer
                                456 payee not allowed   463 could not perform the transaction
    46733123453 never decides      46733123454 decides 30 s later
    refused when asked: 46733123457 NOT_ALLOWED     458 target environment     459 callback host
                                460 currency     461 internal     464 transfer type: HTTP 500     462 HTTP 503
"""
