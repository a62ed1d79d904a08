"""An account that is paid through several networks is paid through the payer's own."""

import pytest

from backend.momo.networks import choose
from tests.backend.momo.conftest import running

MTN, AIRTEL, EQUITY = "ug_mtn_mobilemoney", "ug_airtel_money", "ke_equity_eazzypay"


@pytest.mark.parametrize(
    ("keys", "msisdn", "chosen"),
    [
        ([AIRTEL, MTN], "256772123456", MTN),
        ([AIRTEL, MTN], "256752604392", AIRTEL),
        ([AIRTEL, MTN], "256710000000", AIRTEL),  # of neither: the provider will say so
        ([AIRTEL, MTN], None, AIRTEL),
        ([AIRTEL], "256772123456", AIRTEL),
        ([AIRTEL, EQUITY], "254708374149", EQUITY),
    ],
)
def test_a_number_pays_through_its_own_network(keys, msisdn, chosen):
    assert choose(keys, msisdn) == chosen


@pytest.mark.parametrize(
    ("configured", "msisdn", "chosen"),
    [
        ([AIRTEL, MTN], "256772123456", MTN),
        ([AIRTEL, MTN], "256752604392", AIRTEL),
        ([MTN], "256752604392", MTN),
        ([], "256772123456", MTN),
    ],
)
async def test_of_an_accounts_providers_one_that_is_here(build, provider, configured, msisdn, chosen):
    async with running(build(providers=dict.fromkeys(configured, provider))) as momo:
        route = await momo.resolve(reference="254543", market="UG", msisdn=msisdn)
        assert route is not None
        assert route.provider_key == chosen
