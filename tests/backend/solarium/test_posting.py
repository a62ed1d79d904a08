"""What a payment does to the ledger, as a pure decision."""

from hypothesis import given
from hypothesis import strategies as st

from backend.solarium.posting import MAX_TOKEN_DAYS, MAX_TOKENS, Account, post, split

amounts = st.integers(1, 10**14)


def account(price_subunit: int) -> Account:
    return Account(
        id=7,
        reference="254543",
        business_account="600100",
        currency="UGX",
        market="UG",
        customer_name=None,
        device="D",
        balance_subunit=0,
        price_per_day_subunit=price_subunit,
        min_days=1,
        max_days=365,
        provider_key="ug_mtn_mobilemoney",
    )


@given(st.lists(amounts, max_size=20), st.integers(1, 10**9))
def test_every_posting_balances_and_a_balance_is_the_sum_of_its_entries(
    payments: list[int], price_subunit: int
) -> None:
    balance_subunit, own, days = 0, 0, 0
    for amount in payments:
        posting = post(account(price_subunit), balance_subunit, amount, "ug_mtn_mobilemoney")
        assert sum(entry.debit_subunit - entry.credit_subunit for entry in posting.entries) == 0
        assert all((entry.debit_subunit > 0) != (entry.credit_subunit > 0) for entry in posting.entries)
        own += sum(e.credit_subunit - e.debit_subunit for e in posting.entries if e.account_id == 7)
        balance_subunit = posting.balance_subunit
        days += posting.days
        assert balance_subunit == own >= 0
    assert balance_subunit + days * price_subunit == sum(payments)


@given(st.integers(0, 10**9), amounts, st.integers(1, 10**9))
def test_resolutions_27_a_payment_buys_the_whole_days_of_the_balance(
    balance_subunit: int, amount: int, price_subunit: int
) -> None:
    posting = post(account(price_subunit), balance_subunit, amount, "ug_mtn_mobilemoney")
    assert posting.days == min((balance_subunit + amount) // price_subunit, MAX_TOKEN_DAYS * MAX_TOKENS)


@given(amounts)
def test_money_without_an_account_balances_in_suspense(amount: int) -> None:
    posting = post(None, 0, amount, "ug_mtn_mobilemoney")
    debit, credit = posting.entries
    assert (debit.ledger_account, debit.debit_subunit) == ("clearing:ug_mtn_mobilemoney", amount)
    assert (credit.ledger_account, credit.credit_subunit) == ("suspense:ug_mtn_mobilemoney", amount)
    assert posting.days == 0


@given(st.integers(0, MAX_TOKEN_DAYS * MAX_TOKENS))
def test_resolutions_27_days_above_995_are_split(days: int) -> None:
    payloads = split(days)
    assert sum(payloads) == days
    assert all(1 <= payload <= MAX_TOKEN_DAYS for payload in payloads)
    assert len(payloads) == -(-days // MAX_TOKEN_DAYS)
