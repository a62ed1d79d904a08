"""AfricasTalking SMS, locally (spec/providers.md, section 4).

    POST /version1/messaging    form username, to, message, from?; header apiKey

Every message that was taken is in its number's inbox (`received`), and a delivery report goes to the
configured address `deliver_after_s` later. The report is an outbox row: it outlives the process.
"""
