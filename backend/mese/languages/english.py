"""English. `{...}` are filled by service.py. The seed's own sentences: checklist 10, 11, 14, 15, 19."""

TEXTS: dict[str, str] = {
    "welcome": "Welcome\n1. Make Payment",
    "wrong_choice": "Wrong choice.\n1. Make Payment",
    "enter_account": "Enter account number",
    "unknown_account": "Account not found.\nEnter account number",
    "enter_amount": "Enter amount",
    "bad_amount": "The amount must be a whole number above 0.\nEnter amount",
    "amount_too_low": "The amount is too low.\nEnter amount",
    "amount_too_high": "The amount is too high.\nEnter amount",
    "confirm": "Confirm payment of {amount} for {customer}?\n1. Confirm\n2. Cancel",
    "wrong_confirm": "Wrong choice. Payment of {amount} for {customer}?\n1. Confirm\n2. Cancel",
    "success": "Payment successful!",
    "failed": "Payment failed. No money was taken.",
    "failed_later": "Your payment of {amount} did not go through. Please try again.",
    "pending": "Payment pending. You will receive an SMS when it is complete.",
    "cancelled": "Payment cancelled.",
    "unavailable": "The service is not available. Please try again later.",
    "no_market": "This service is not available in your country.",
    "over": "This session is over. Please dial again.",
    "customer": "account {reference}",
}
