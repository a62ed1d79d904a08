"""MTN MoMo Collections, locally (spec/providers.md, section 2; production mode, resolutions 26).

    POST /v1_0/apiuser · GET /v1_0/apiuser/{id} · POST /v1_0/apiuser/{id}/apikey
    POST /collection/token/ · POST /collection/v1_0/requesttopay · GET /collection/v1_0/requesttopay/{ref}
    GET /collection/v1_0/account/balance · GET /collection/v1_0/accountholder/msisdn/{m}/active

The customer decides by himself after `approve_after_s`; what he decides stands in OUTCOMES, by his number.
The decision is an outbox row, and so is the one callback: both outlive the process.
"""
