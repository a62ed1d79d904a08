"""Pindo SMS (RW), locally (spec/providers.md, section 4). Header `Authorization: Bearer TOKEN`.

    POST /v1/sms/        {"to": "+250781234567", "text", "sender"} -> 201 {"sms_id", "status": "sent", ...}
    POST /v1/sms/bulk    {"recipients": [{"phonenumber", "name"}], "text", "sender"}

A report goes to the configured address `deliver_after_s` later, by the script of the number (sms_script.py):
031 to 033 answer 400, 034 reports UNDELIV, 035 EXPIRED, 040 answers 503. The wording of errors is ours: the
contract has none.
"""
