"""Kinyarwanda (RW)."""

TEXTS: dict[str, str] = {
    "menu": (
        "1. Kwishyura\n2. Amafaranga n'iminsi bisigaye\n3. Kode yanjye iheruka\n4. Ururimi\n"
        "Igihe cyose: 00 gusubira inyuma, 0 gusohoka"
    ),
    "exits": "00. Subira inyuma\n0. Sohoka",
    "welcome": "Murakaza neza\n{menu}",
    "wrong_choice": "Mwahisemo nabi.\n{menu}",
    "enter_account": "Andika nomero ya konti",
    "unknown_account": "Konti ntibonetse.\nAndika nomero ya konti",
    "not_own_account": "Iyi telefone nta konti nk'iyo ifite.\nAndika nomero ya konti\n{exits}",
    "enter_amount": "Andika amafaranga",
    "bad_amount": "Amafaranga agomba kuba umubare wuzuye uruta 0.\nAndika amafaranga\n00. Subira inyuma",
    "amount_too_low": "Amafaranga ni make cyane.\nAndika amafaranga\n00. Subira inyuma",
    "amount_too_high": "Amafaranga ni menshi cyane.\nAndika amafaranga\n00. Subira inyuma",
    "confirm": "Kwemeza kwishyura {amount} kuri {customer}?\n1. Emeza 2. Hagarika",
    "wrong_confirm": "Mwahisemo nabi. Kwishyura {amount} kuri {customer}?\n1. Emeza 2. Hagarika",
    "success": "Kwishyura byagenze neza!",
    "failed": "Kwishyura ntibyakunze. Nta mafaranga yakuweho.",
    "failed_later": "Kwishyura {amount} ntibyakunze. Mwongere mugerageze.",
    "pending": "Kwishyura birategerejwe. Murabona SMS nibirangira.",
    "cancelled": "Kwishyura byahagaritswe.",
    "goodbye": "Murabeho.",
    "balance": "Konti {reference}\nAmafaranga: {money}\nIminsi isigaye: {days}",
    "token": "Andika ibi ku kibaho:\n{tokens}",
    "no_token": "Nta kode ya konti {reference} iraboneka.",
    "no_account": "Nta konti yanditse kuri iyi nomero ya telefone.",
    "languages": "Ururimi\n{languages}\n{exits}",
    "wrong_language": "Mwahisemo nabi.\n{languages}\n{exits}",
    "unavailable": "Serivisi ntiboneka ubu. Mwongere mugerageze nyuma.",
    "no_market": "Iyi serivisi ntiboneka mu gihugu cyanyu.",
    "over": "Iki kiganiro cyarangiye. Mwongere muhamagare.",
    "customer": "konti {reference}",
}
