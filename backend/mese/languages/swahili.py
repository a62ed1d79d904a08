"""Swahili (TZ, KE, UG, RW, ZM)."""

TEXTS: dict[str, str] = {
    "menu": (
        "1. Fanya malipo\n2. Salio na siku zilizobaki\n3. Tokeni yangu ya mwisho\n4. Lugha\n"
        "Wakati wowote: 00 rudi, 0 ondoka"
    ),
    "exits": "00. Rudi\n0. Ondoka",
    "welcome": "Karibu\n{menu}",
    "wrong_choice": "Chaguo si sahihi.\n{menu}",
    "enter_account": "Ingiza namba ya akaunti",
    "unknown_account": "Akaunti haikupatikana.\nIngiza namba ya akaunti",
    "not_own_account": "Simu hii haina akaunti hiyo.\nIngiza namba ya akaunti\n{exits}",
    "enter_amount": "Ingiza kiasi",
    "bad_amount": "Kiasi lazima kiwe namba kamili zaidi ya 0.\nIngiza kiasi\n00. Rudi",
    "amount_too_low": "Kiasi ni kidogo mno.\nIngiza kiasi\n00. Rudi",
    "amount_too_high": "Kiasi ni kikubwa mno.\nIngiza kiasi\n00. Rudi",
    "confirm": "Thibitisha malipo ya {amount} kwa {customer}?\n1. Thibitisha 2. Ghairi",
    "wrong_confirm": "Chaguo si sahihi. Malipo ya {amount} kwa {customer}?\n1. Thibitisha 2. Ghairi",
    "success": "Malipo yamefanikiwa!",
    "failed": "Malipo yameshindikana. Hakuna pesa iliyokatwa.",
    "failed_later": "Malipo yako ya {amount} hayakufanikiwa. Tafadhali jaribu tena.",
    "pending": "Malipo yanasubiri. Utapokea SMS yatakapokamilika.",
    "cancelled": "Malipo yameghairiwa.",
    "goodbye": "Kwaheri.",
    "balance": "Akaunti {reference}\nSalio: {money}\nSiku zilizobaki: {days}",
    "token": "Bonyeza hii kwenye kibodi:\n{tokens}",
    "no_token": "Bado hakuna tokeni ya akaunti {reference}.",
    "no_account": "Hakuna akaunti iliyosajiliwa kwa namba hii ya simu.",
    "languages": "Lugha\n{languages}\n{exits}",
    "wrong_language": "Chaguo si sahihi.\n{languages}\n{exits}",
    "unavailable": "Huduma haipatikani. Tafadhali jaribu tena baadaye.",
    "no_market": "Huduma hii haipatikani nchini kwako.",
    "over": "Kipindi hiki kimeisha. Tafadhali piga tena.",
    "customer": "akaunti {reference}",
}
