"""Every sandbox by its name, alone: built, started, and taking the credentials that it names."""

import asyncio
import base64

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.data_dir import DataDir
from backend.kit.database import open_database
from backend.kit.http import AiohttpClient
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.money import DARAJA, build_money
from simulator.sandboxes import SANDBOXES, Bench, build_sandbox


@pytest.fixture
async def bench(tmp_path, database_url):
    data_dir = DataDir(tmp_path, ("test",), SystemEntropy())
    databases = {}

    def database(name):
        databases[name] = open_database(database_url, name)
        return databases[name]

    http = AiohttpClient()
    yield Bench(
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        database=database,
        secret=data_dir.secret,
        rsa_key=data_dir.rsa_key,
        url_of=lambda name: f"http://127.0.0.1:9/{name}",
        host="127.0.0.1",
        approve_after_s=0.01,
    )
    await http.close()
    for each in databases.values():
        await each.close()


@pytest.fixture
async def served(bench):
    """Starts the sandbox of a name."""
    running = []

    async def serve(name):
        sandbox = build_sandbox(name, bench)
        await sandbox.service.start()
        client = TestClient(TestServer(sandbox.app))
        await client.start_server()
        running.append((sandbox, client))
        return sandbox, client

    yield serve
    for sandbox, client in running:
        await client.close()
        await sandbox.service.stop()


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def token_request(name, credentials):
    """How each provider gives a token for its credentials: path, and what else the request needs."""
    c = credentials
    match name:
        case "daraja":
            path = "/oauth/v1/generate?grant_type=client_credentials"
            return "GET", path, {"headers": basic(c["consumer_key"], c["consumer_secret"])}
        case "mtn":
            headers = {
                **basic(c["api_user"], c["api_key"]),
                "Ocp-Apim-Subscription-Key": c["subscription_key"],
                "X-Target-Environment": c["target_environment"],
            }
            return "POST", "/collection/token/", {"headers": headers}
        case "airtel":
            body = {name: c[name] for name in ("client_id", "client_secret")}
            return "POST", "/auth/oauth2/token", {"json": {**body, "grant_type": "client_credentials"}}
        case "equity":
            body = {"merchantCode": c["merchant_code"], "consumerSecret": c["consumer_secret"]}
            path = "/authentication/api/v3/authenticate/merchant"
            return "POST", path, {"json": body, "headers": {"Api-Key": c["api_key"]}}
    body = {"appName": c["app_name"], "clientId": c["client_id"], "clientSecret": c["client_secret"]}
    return "POST", "/AppRegistration/GenerateToken", {"json": body}


@pytest.mark.parametrize("name", ["daraja", "mtn", "airtel", "equity", "halopesa"])
async def test_a_sandbox_alone_takes_its_credentials(served, name):
    sandbox, client = await served(name)
    method, path, request = token_request(name, sandbox.credentials)
    assert (await client.request(method, path, **request)).status == 200
    wrong = dict.fromkeys(sandbox.credentials, "0" * 36)
    method, path, request = token_request(name, wrong)
    assert (await client.request(method, path, **request)).status in (400, 401, 423)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("daraja", {"consumer_key", "consumer_secret", "passkey", "short_code"}),
        ("mtn", {"api_user", "api_key", "subscription_key", "target_environment"}),
        ("airtel", {"client_id", "client_secret"}),
        ("equity", {"api_key", "merchant_code", "consumer_secret"}),
        ("halopesa", {"client_id", "client_secret"}),
        ("infobip", {"api_key"}),
        ("africastalking", {"username", "api_key"}),
        ("pindo", {"token"}),
    ],
)
def test_credentials_stand_under_the_providers_own_names(bench, name, names):
    assert names <= set(build_sandbox(name, bench).credentials)


async def test_every_markets_mtn_user_is_named(served):
    sandbox, client = await served("mtn")
    for target in ("mtnuganda", "mtnrwanda"):
        method, path, request = token_request("mtn", sandbox.credentials[target])
        assert (await client.request(method, path, **request)).status == 200


async def test_the_services_adapters_meet_the_sandboxes(bench, served):
    """Both are built from the same secrets."""

    class Site:
        clock, entropy, http, biller = bench.clock, bench.entropy, bench.http, bench.biller
        secret, rsa_key = staticmethod(bench.secret), staticmethod(bench.rsa_key)

        def __init__(self, urls):
            self.provider_url = urls.get

    urls = {}
    for name in SANDBOXES:
        _, client = await served(name)
        urls[name] = str(client.make_url("/")).rstrip("/")
    urls["halopesa_auth"] = urls["halopesa"]
    money = build_money(Site(urls))
    assert set(money.paybills) == {"ke/c2b", "ke/ipn"}
    assert money.providers[DARAJA].base_url == urls["daraja"]
    tokens = [provider._calls._token(provider.base_url) for provider in money.providers.values()]
    assert all(await asyncio.gather(*tokens))
