"""AfricasTalking SMS, locally (spec/providers.md, section 4).

    POST /version1/messaging    form username, to, message, from?; header apiKey
    GET  /version1/messaging    ?username&lastReceivedId: what customers wrote
    POST /simulate/inbound      ours: form from, to, text; a customer writes
    POST /simulate/optout       ours: form phoneNumber, senderId; a customer wants no more of it

Every message that was taken is in its number's inbox (`received`), and its delivery reports go to the
configured address `deliver_after_s` later, by the script of the number (sms_script.py): 031 answers 403, 032
406, 033 407, 034 and 035 report Failed, 040 answers HTTP 503. All of it is in outbox rows that outlive the
process.
"""
