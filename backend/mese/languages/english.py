"""English. The seed's own sentences: checklist 10, 11, 14, 15, 19."""

TEXTS: dict[str, str] = {
    "menu": (
        "1. Make Payment\n2. Balance and days left\n3. My last token\n4. Language\n"
        "At any time: 00 back, 0 exit"
    ),
    "exits": "00. Back\n0. Exit",
    "welcome": "Welcome\n{menu}",
    "wrong_choice": "Wrong choice.\n{menu}",
    "enter_account": "Enter account number",
    "unknown_account": "Account not found.\nEnter account number",
    "not_own_account": "This phone number has no such account.\nEnter account number\n{exits}",
    "enter_amount": "Enter amount",
    "bad_amount": "The amount must be a whole number above 0.\nEnter amount\n00. Back",
    "amount_too_low": "The amount is too low.\nEnter amount\n00. Back",
    "amount_too_high": "The amount is too high.\nEnter amount\n00. Back",
    "confirm": "Confirm payment of {amount} for {customer}?\n1. Confirm 2. Cancel",
    "wrong_confirm": "Wrong choice. Payment of {amount} for {customer}?\n1. Confirm 2. Cancel",
    "success": "Payment successful!",
    "failed": "Payment failed. No money was taken.",
    "failed_later": "Your payment of {amount} did not go through. Please try again.",
    "pending": "Payment pending. You will receive an SMS when it is complete.",
    "cancelled": "Payment cancelled.",
    "goodbye": "Goodbye.",
    "balance": "Account {reference}\nBalance: {money}\nDays left: {days}",
    "token": "Type this on the keypad:\n{tokens}",
    "no_token": "There is no token for account {reference} yet.",
    "no_account": "No account is registered for this phone number.",
    "languages": "Language\n{languages}\n{exits}",
    "wrong_language": "Wrong choice.\n{languages}\n{exits}",
    "unavailable": "The service is not available. Please try again later.",
    "no_market": "This service is not available in your country.",
    "over": "This session is over. Please dial again.",
    "customer": "account {reference}",
}
