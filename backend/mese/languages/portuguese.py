"""Portuguese (MZ)."""

TEXTS: dict[str, str] = {
    "menu": (
        "1. Fazer pagamento\n2. Saldo e dias restantes\n3. O meu ultimo codigo\n4. Lingua\n"
        "A qualquer momento: 00 voltar, 0 sair"
    ),
    "exits": "00. Voltar\n0. Sair",
    "welcome": "Bem-vindo\n{menu}",
    "wrong_choice": "Escolha errada.\n{menu}",
    "enter_account": "Introduza o numero da conta",
    "unknown_account": "Conta nao encontrada.\nIntroduza o numero da conta",
    "not_own_account": "Este telefone nao tem essa conta.\nIntroduza o numero da conta\n{exits}",
    "enter_amount": "Introduza o valor",
    "bad_amount": "O valor deve ser um numero inteiro acima de 0.\nIntroduza o valor\n00. Voltar",
    "amount_too_low": "O valor é demasiado baixo.\nIntroduza o valor\n00. Voltar",
    "amount_too_high": "O valor é demasiado alto.\nIntroduza o valor\n00. Voltar",
    "confirm": "Confirmar o pagamento de {amount} para {customer}?\n1. Confirmar 2. Cancelar",
    "wrong_confirm": "Escolha errada. Pagamento de {amount} para {customer}?\n1. Confirmar 2. Cancelar",
    "success": "Pagamento efectuado com sucesso!",
    "failed": "O pagamento falhou. Nenhum dinheiro foi retirado.",
    "failed_later": "O seu pagamento de {amount} nao foi concluido. Tente novamente.",
    "pending": "Pagamento pendente. Vai receber um SMS quando terminar.",
    "cancelled": "Pagamento cancelado.",
    "goodbye": "Adeus.",
    "balance": "Conta {reference}\nSaldo: {money}\nDias restantes: {days}",
    "token": "Digite isto no teclado:\n{tokens}",
    "no_token": "Ainda nao ha codigo para a conta {reference}.",
    "no_account": "Nenhuma conta esta registada para este numero.",
    "languages": "Lingua\n{languages}\n{exits}",
    "wrong_language": "Escolha errada.\n{languages}\n{exits}",
    "unavailable": "O servico nao esta disponivel. Tente mais tarde.",
    "no_market": "Este servico nao esta disponivel no seu pais.",
    "over": "Esta sessao terminou. Marque novamente.",
    "customer": "conta {reference}",
}
