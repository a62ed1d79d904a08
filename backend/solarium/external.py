"""The external API: client credentials for an access token, then simulate and execute (checklist 36-47).

An execution is confirmed like any payment, with a provider_tx of ours. One that names its simulation has that
simulation's provider_tx, so executing it again books nothing and answers the same.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from hmac import compare_digest

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Unauthorized
from backend.kit.keys import Client
from backend.kit.ratelimit import RateLimit
from backend.kit.runtime import Clock, Entropy, token_hex
from backend.kit.vault import Vault
from backend.solarium.posting import Account
from backend.solarium.schemas import (
    OK,
    AccessToken,
    ConfirmRequest,
    Credentials,
    ExecutionAnswer,
    ExecutionRequest,
    SimulationAnswer,
    SimulationRequest,
    received_now,
)
from backend.solarium.store import Store
from backend.solarium.validation import judge

TOKEN_LIFE_S = 3600
VALIDATION_LIFE_S = 15 * 60
MAX_TOKEN = 200  # characters; ours have 64

Submit = Callable[[ConfirmRequest], Awaitable[str]]


class External:
    """What service.py offers to external clients. `submit` confirms a payment and gives its receipt."""

    def __init__(
        self,
        *,
        store: Store,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        vault: Vault,
        submit: Submit,
    ):
        self._store = store
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._vault = vault
        self._submit = submit
        self.rate_limit = RateLimit(limit=100, window_s=1, clock=clock)  # resolutions 9

    async def authenticate(self, credentials: Credentials) -> AccessToken:
        """An access token for a client. Unauthorized: no such client, or not its secret."""
        given = self._vault.fingerprint(credentials.client_secret)
        stored = await self._database.read(lambda c: self._store.secret_hash(c, credentials.client_id))
        if stored is None or not compare_digest(given, stored):
            raise Unauthorized("client not found or wrong client_secret")
        token = token_hex(self._entropy, 32)
        now_ms = self._clock.now_ms()
        await self._database.write(
            lambda connection: self._store.put_access_token(
                connection,
                self._vault.fingerprint(token),
                credentials.client_id,
                now_ms=now_ms,
                expires_at_ms=now_ms + TOKEN_LIFE_S * 1000,
            )
        )
        return AccessToken(token, "Bearer", TOKEN_LIFE_S)

    async def client_of(self, access_token: str) -> Client:
        """Whose token it is. Unauthorized: nobody's, or it has expired."""
        client = None
        if len(access_token) <= MAX_TOKEN:
            token_hash = self._vault.fingerprint(access_token)
            client = await self._database.read(
                lambda connection: self._store.client_of(connection, token_hash, self._clock.now_ms())
            )
        if client is None:
            raise Unauthorized("Token not found or expired")
        return client

    async def simulate(self, client: Client, request: SimulationRequest) -> SimulationAnswer:
        """Judge a payment without making it; ok comes with a validation id, good for 15 minutes."""
        amount_subunit = subunits(request.amount)
        account = await self._account(client, request)
        status = judge(account, amount_subunit)
        if account is None or status != OK:
            return SimulationAnswer(status)
        validation_id = f"sim_{token_hex(self._entropy)}"
        now_ms = self._clock.now_ms()
        row = {
            "id": validation_id,
            "client_id": client.name,
            "account_id": account.id,
            "amount_subunit": amount_subunit,
            "provider_key": request.provider_key,
            "provider_tx": self._provider_tx(),
            "expires_at_ms": now_ms + VALIDATION_LIFE_S * 1000,
        }
        await self._database.write(lambda connection: self._store.put_validation(connection, row, now_ms))
        return SimulationAnswer(OK, account.customer_name, validation_id)

    async def execute(self, client: Client, request: ExecutionRequest) -> ExecutionAnswer:
        """Make a payment. BadRequest: a validation id that is unknown, expired or another payment's."""
        amount_subunit = subunits(request.amount)
        account = await self._account(client, request)
        status = judge(account, amount_subunit)
        if account is None or status != OK:
            return ExecutionAnswer(status)
        if request.validation_id is None:
            provider_tx = self._provider_tx()
        else:
            provider_tx = await self._validated(client.name, request, account, amount_subunit)
        payment = ConfirmRequest(
            reference=account.reference,
            amount_subunit=amount_subunit,
            currency=request.currency,
            sender_phone_number=request.sender_phone,
            provider_tx=provider_tx,
            provider_key=request.provider_key,
            momoep_id=f"external:{client.name}",
            business_account=account.business_account,
            received_at=received_now(self._clock.now_ms()),
        )
        receipt = await self._submit(payment)
        return ExecutionAnswer("success", f"tx_{receipt}", provider_tx)

    async def _validated(
        self, client_id: str, request: ExecutionRequest, account: Account, amount_subunit: int
    ) -> str:
        """The provider_tx that the named simulation reserved."""
        validation_id = request.validation_id or ""
        found = await self._database.read(
            lambda connection: self._store.validation(
                connection, validation_id, client_id, self._clock.now_ms()
            )
        )
        asked = (account.id, amount_subunit, request.provider_key)
        if found is None or asked != (found.account_id, found.amount_subunit, found.provider_key):
            text = "is unknown, expired or of another payment; simulate again"
            raise BadRequest("the validation does not fit", fields=[("validation_id", text)])
        return found.provider_tx

    async def _account(self, client: Client, request: SimulationRequest) -> Account | None:
        """The one account of the client's markets that fits.

        None also if several do and no business_account tells them apart.
        """
        accounts = await self._database.read(
            lambda connection: self._store.accounts_of(connection, [request.reference])
        )
        fitting = [
            account
            for account in accounts
            if (account.currency, account.provider_key) == (request.currency, request.provider_key)
            and request.business_account in (None, account.business_account)
            and client.sees(account.market)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _provider_tx(self) -> str:
        return f"MOMO{token_hex(self._entropy, 12).upper()}"


def subunits(amount: float) -> int:
    """Major units as subunits (x100, resolutions 3). BadRequest for more than two decimals."""
    exact = Decimal(str(amount)) * 100
    if exact != exact.to_integral_value():
        raise BadRequest("the amount is finer than a subunit", fields=[("amount", "at most two decimals")])
    return int(exact)
