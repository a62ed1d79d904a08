"""Infobip SMS, locally (spec/providers.md, section 4). Header `Authorization: App KEY`.

    POST /sms/3/messages         POST /sms/2/text/advanced
    GET  /sms/3/logs             every message by messageId, wherever it is
    GET  /sms/3/reports          ended messages that no webhook was told of, each once
    GET  /sms/1/inbox/reports    what customers wrote, each once
    POST /simulate/inbound       ours: JSON {from, to, text}; a customer writes

Reports go to the address that came with the message, in the shape of the API that took it (v3: messageCount,
sender, groupName "OK"; v2: smsCount, "Ok"), `deliver_after_s` later and by the script of the number
(sms_script.py): 031 is rejected with 8, 032 with 14, 033 with 19, 034 ends as 9, 035 as 15, 040 answers 503.
There is no idempotency key: a messageId that comes twice is two messages.
"""
