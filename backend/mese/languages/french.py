"""French (BJ, CI; RW)."""

TEXTS: dict[str, str] = {
    "menu": (
        "1. Faire un paiement\n2. Solde et jours restants\n3. Mon dernier code\n4. Langue\n"
        "A tout moment: 00 retour, 0 quitter"
    ),
    "exits": "00. Retour\n0. Quitter",
    "welcome": "Bienvenue\n{menu}",
    "wrong_choice": "Choix incorrect.\n{menu}",
    "enter_account": "Entrez le numéro de compte",
    "unknown_account": "Compte introuvable.\nEntrez le numéro de compte",
    "not_own_account": "Ce téléphone n'a pas ce compte.\nEntrez le numéro de compte\n{exits}",
    "enter_amount": "Entrez le montant",
    "bad_amount": "Le montant est un nombre entier au-dessus de 0.\nEntrez le montant\n00. Retour",
    "amount_too_low": "Le montant est trop bas.\nEntrez le montant\n00. Retour",
    "amount_too_high": "Le montant est trop élevé.\nEntrez le montant\n00. Retour",
    "confirm": "Confirmer le paiement de {amount} pour {customer}?\n1. Confirmer 2. Annuler",
    "wrong_confirm": "Choix incorrect. Paiement de {amount} pour {customer}?\n1. Confirmer 2. Annuler",
    "success": "Paiement réussi!",
    "failed": "Le paiement a échoué. Aucun montant n'a été prélevé.",
    "failed_later": "Votre paiement de {amount} n'a pas abouti. Veuillez réessayer.",
    "pending": "Paiement en attente. Vous recevrez un SMS à la fin.",
    "cancelled": "Paiement annulé.",
    "goodbye": "Au revoir.",
    "balance": "Compte {reference}\nSolde: {money}\nJours restants: {days}",
    "token": "Tapez ceci sur le clavier:\n{tokens}",
    "no_token": "Pas encore de code pour le compte {reference}.",
    "no_account": "Aucun compte n'est enregistré pour ce numéro de téléphone.",
    "languages": "Langue\n{languages}\n{exits}",
    "wrong_language": "Choix incorrect.\n{languages}\n{exits}",
    "unavailable": "Le service n'est pas disponible. Veuillez réessayer plus tard.",
    "no_market": "Ce service n'est pas disponible dans votre pays.",
    "over": "Cette session est terminée. Veuillez rappeler.",
    "customer": "compte {reference}",
}
