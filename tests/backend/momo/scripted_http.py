"""An HTTP port that gives scripted answers, for the adapters' tests."""

import json

from backend.kit.http import HttpAnswer
from backend.momo.ports import Debit


def debit_of(**changes):
    """A request for money."""
    values = {
        "payment_id": "p1",
        "provider_ref": "5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10",
        "handle": None,
        "created_at_ms": 1_764_583_800_000,  # 2025-12-01T10:10:00Z
        "base_url": "https://provider.example",
        "reference": "254543",
        "amount_subunit": 500_00,
        "currency": "KES",
        "msisdn": "254708374149",
        "callback_url": "https://us.example/hooks/x/secret",
    }
    return Debit(**{**values, **changes})


def answer_of(status, headers=None, /, **members):
    """An answer with a JSON object."""
    return HttpAnswer(status, headers or {}, json.dumps(members).encode())


class ScriptedHttp:
    """`token` answers URLs that end with `token_path`, `answers` the others in turn; `seen` lists those."""

    def __init__(self, *answers, token, token_path):
        self.answers, self.token, self.token_path = list(answers), token, token_path
        self.seen, self.token_requests = [], []

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        if url.endswith(self.token_path):
            self.token_requests.append((method, url, headers, body))
            return self.token
        self.seen.append((method, url, headers, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer
