"""`payg sandbox NAME`: every sandbox alone, a process of its own, and a client that nobody here wrote.

What each provider does in detail is in the other files here; this is whether somebody who has only the
command and its credentials file gets through.
"""

import json
import stat
import subprocess
import sys
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import ClassVar

import africastalking
import pytest
import requests
from airtelmoney import AirtelMoney
from airtelmoney.resources.collection import CollectionAPI
from azampay import AzamPay
from azampay import _base_client as azampay_urls
from infobip_api_client import ApiClient, Configuration, SmsApi
from infobip_api_client.models import (
    SmsDestination,
    SmsMessage,
    SmsMessageContent,
    SmsRequest,
    SmsTextContent,
)
from momo_openapi import Collection, MomoConfig
from mpesa import MpesaClient

from simulator.sandboxes import HOOKS

PAYG = Path(sys.executable).with_name("payg")
START_S = 60


class _Hook(BaseHTTPRequestHandler):
    """The partner's side: keeps the bodies of calls by their paths; callbacks come in no promised order."""

    bodies: ClassVar[defaultdict[str, Queue[bytes]]] = defaultdict(Queue)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.bodies[self.path].put(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST  # noqa: N815 - http.server's name

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def partner():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hook)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sandboxes")


@pytest.fixture(scope="module")
def sandboxes(folder, partner):
    """The credentials of each, all started side by side on one data directory."""
    processes = {}
    for name, hooks in HOOKS.items():
        extra = [word for hook in hooks for word in ("--hook", f"{hook}={partner}/{name}/{hook}")]
        processes[name] = subprocess.Popen(
            [PAYG, "sandbox", name, "--port", "0", "--data-dir", folder, "--approve-after", "0.05", *extra],
            stdout=subprocess.DEVNULL,
        )
    found, ends = {}, time.monotonic() + START_S
    while len(found) < len(HOOKS) and time.monotonic() < ends:
        for name in HOOKS:
            file = folder / f"sandbox-{name}.json"
            if name not in found and file.exists():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
                found[name] = json.loads(file.read_text())
        time.sleep(0.05)
    assert set(found) == set(HOOKS)
    yield found
    for process in processes.values():
        process.terminate()
    assert {name: process.wait(10) for name, process in processes.items()} == dict.fromkeys(HOOKS, 0)


def told(path):
    """The body of the next call to a path of the partner's."""
    body = _Hook.bodies[path].get(timeout=20)
    return json.loads(body) if body.startswith(b"{") else body.decode()


def post(url, body, **headers):
    answer = requests.post(url, json=body, headers=headers, timeout=20)
    assert answer.ok, answer.text
    return answer.json() if answer.content else {}


@pytest.mark.parametrize("name", HOOKS)
def test_it_says_what_it_does(sandboxes, name):
    about = requests.get(sandboxes[name]["base_url"] + "/", timeout=20).text
    assert "\nHere: --approve-after 0.05 --twice 0.0 --late 0.0 --late-by 10.0 --lost 0.0 --refused" in about
    assert "spec/" not in about
    assert ".py" not in about
    assert "46733123451" in about or "451 rejected" in about or "0000NNN" in about


def test_mtn(sandboxes, partner):
    c = sandboxes["mtn"]
    theirs = Collection(
        MomoConfig(
            subscription_key=c["subscription_key"],
            user_id=c["api_user"],
            credential_token=c["api_key"],
            target_environment=c["target_environment"],
            base_url=c["base_url"],
            currency="UGX",
        )
    )
    ref = theirs.request_to_pay("5000", "256772123456", "inv-1", callback_url=f"{partner}/mtn")
    assert told("/mtn")["status"] == "SUCCESSFUL"
    assert theirs.get_transaction_status(ref)["amount"] == "5000"


def test_daraja(sandboxes, partner):
    c = sandboxes["daraja"]
    theirs = MpesaClient(
        c["consumer_key"],
        consumer_secret=c["consumer_secret"],
        passkey=c["passkey"],
        shortcode=c["short_code"],
        base_url=c["base_url"],
    )
    pushed = theirs.stk_push("0708374149", 500, "254543", "Solar", f"{partner}/daraja/paid")
    paid = MpesaClient.parse_stk_callback(told("/daraja/paid"))
    assert (paid["paid"], paid["checkout_request_id"]) == (True, pushed.checkout_request_id)
    assert told("/daraja/confirmation")["BillRefNumber"] == "254543"


def test_airtel(sandboxes):
    c = sandboxes["airtel"]
    theirs = AirtelMoney(c["client_id"], c["client_secret"], base_url=c["base_url"])
    answer = theirs.collection.payment(
        reference="254543", msisdn="752604392", amount=1000, transaction_id="t1"
    )
    assert answer["status"]["success"]
    assert CollectionAPI.verify_callback_hash(told("/airtel/callback"), c["client_secret"])
    theirs.session.close()


def test_halopesa(sandboxes, partner, monkeypatch):
    c = sandboxes["halopesa"]
    monkeypatch.setattr(azampay_urls, "_SANDBOX_AUTH", c["base_url"])
    monkeypatch.setattr(azampay_urls, "_SANDBOX_BASE", c["base_url"])
    app = {"app_name": c["app_name"], "client_id": c["client_id"], "client_secret": c["client_secret"]}
    with AzamPay(**app, x_api_key=c["api_key"], sandbox=True, max_retries=1) as theirs:
        order = {"amount": "10000", "account_number": "0621234567", "external_id": "order-1"}
        theirs.checkout.mobile_checkout(**order, provider="Halopesa", callback_url=f"{partner}/halopesa")
    assert told("/halopesa")["transactionstatus"] == "success"


def test_equity(sandboxes):
    """No client is published; the contract's own words (spec/providers.md, 3b)."""
    c = sandboxes["equity"]
    login = post(
        c["base_url"] + "/authentication/api/v3/authenticate/merchant",
        {"merchantCode": c["merchant_code"], "consumerSecret": c["consumer_secret"]},
        **{"Api-Key": c["api_key"]},
    )
    assert login["tokenType"] == "Bearer"
    paid = {"mobileNumber": "254722123456", "amount": "150", "billNumber": "254543"}
    post(c["base_url"] + "/simulate/eazzypay", paid, Authorization=f"Bearer {login['accessToken']}")
    assert told("/equity/ipn")["transaction"]["billNumber"] == "254543"


def test_infobip(sandboxes):
    c = sandboxes["infobip"]
    theirs = SmsApi(ApiClient(Configuration(host=c["base_url"], api_key=c["api_key"])))
    message = SmsMessage(
        sender="PAYG",
        destinations=[SmsDestination(to="254722123456", message_id="m-1")],
        content=SmsMessageContent(SmsTextContent(text="Hello")),
    )
    (sent,) = theirs.send_sms_messages(SmsRequest(messages=[message])).messages
    assert (sent.message_id, sent.status.group_name) == ("m-1", "PENDING")
    mail = {"from": "254722123456", "to": "8008", "text": "BAL"}
    post(c["base_url"] + "/simulate/inbound", mail, Authorization=f"App {c['api_key']}")
    assert told("/infobip/inbound")["results"][0]["cleanText"] == "BAL"


def test_africastalking(sandboxes):
    c = sandboxes["africastalking"]
    africastalking.initialize(c["username"], c["api_key"])
    africastalking.SMS._baseUrl = f"{c['base_url']}/version1"
    sent = africastalking.SMS.send("Hello", ["+256772123456"])
    assert sent["SMSMessageData"]["Recipients"][0]["statusCode"] == 101
    assert "status=Success" in told("/africastalking/dlr")


def test_pindo(sandboxes):
    """No client is published; the contract's own words (spec/providers.md, 4)."""
    c = sandboxes["pindo"]
    body = {"to": "+250781234567", "text": "Hello", "sender": "PAYG"}
    sent = post(c["base_url"] + "/v1/sms/", body, Authorization=f"Bearer {c['token']}")
    assert sent["status"] == "sent"
    assert told("/pindo/dlr")["status"] == "DELIVRD"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mtn"], "Missing option '--port'"),
        (["visa", "--port", "0"], "is not one of 'daraja', 'mtn'"),
        (["mtn", "--port", "0", "--hook", "ipn=http://127.0.0.1/"], "mtn has no 'ipn'"),
        (["equity", "--port", "0", "--hook", "ipn=http://example.com/"], "an http address of this machine"),
        (["mtn", "--port", "0", "--twice", "0.6", "--lost", "0.6"], "at most 1 together"),
        (["mtn", "--port", "0", "--late", "2"], "--late"),
        (["mtn", "--port", "0", "--database-url", "mysql://x"], "--database-url"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path, arguments, says):
    refused([*arguments, "--data-dir", tmp_path], says)


def test_what_is_in_use_is_said_so(sandboxes, folder, tmp_path):
    port = sandboxes["mtn"]["base_url"].rpartition(":")[2]
    refused(["mtn", "--port", "0", "--data-dir", folder], "another payg process runs sandbox_mtn there")
    refused(["mtn", "--port", port, "--data-dir", tmp_path], f"--port {port} can't be had")


def refused(arguments, says):
    """One line that says so, and exit code 2."""
    done = subprocess.run(
        [PAYG, "sandbox", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("payg: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
