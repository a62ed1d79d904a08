"""Commands under anything that can happen, in any order: lost and repeated frames, crashes, failures.

The model is the device and the receiver. What must hold: a command is done once by the device and ends once,
replied, expired or cancelled; a replied one's callback is one: waiting in the outbox until it is delivered,
and then marked (invariant 4).
A SYNCIV never locks the device out, whatever is lost; no sequence down is used twice in one epoch.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection

from backend.kit.database import Database, open_database
from backend.kit.errors import Conflict
from backend.kit.feed import FeedItem
from backend.kit.http import HttpAnswer, TimedOut
from backend.m2m.lifecycle_store import Viewer
from backend.m2m.ports import SystemResolver
from backend.m2m.service import M2mConfig, M2mService
from protocols.magicbox import wire
from simulator.clock import ManualClock, SeededEntropy
from tests.backend.m2m.conftest import LINK_KEY, SERIAL, Device
from tests.databases import NewDatabase, examples

RESEND_AFTER_S = 30.0
LIFE_S = 20_000.0  # of a command: longer than the good link at the end takes
ANYBODY = Viewer("anybody", ())


class Partner:
    """Receives callbacks as an HttpClient; `answers` says how the next one ends."""

    def __init__(self) -> None:
        self.answer = 200
        self.accepted: Counter[str] = Counter()

    async def request(self, method, url, *, headers, body=b"", timeout_s=10.0) -> HttpAnswer:
        if self.answer == 0:
            raise TimedOut("no answer")
        if self.answer == 200:
            self.accepted[headers["webhook-id"]] += 1
        return HttpAnswer(self.answer, {}, b"")


class CommandMachine(RuleBasedStateMachine):
    def __init__(self, new_database_url: NewDatabase) -> None:
        super().__init__()
        self.new_database_url = new_database_url
        self.url = new_database_url()
        self.runner = asyncio.Runner()
        self.clock = ManualClock(1_764_583_800_000)
        self.partner = Partner()
        self.device = Device(SERIAL, LINK_KEY)
        self.created: dict[str, int] = {}
        self.in_the_air: list[bytes] = []
        self.last_up: bytes | None = None
        self.sealed: dict[tuple[int, int], bytes] = {}
        self.ended: dict[int, str] = {}
        self.boots = 0
        self.database: Database
        self.service: M2mService
        self.runner.run(self.open())
        self.runner.run(
            self.service.register(serial=SERIAL, market="UG", link_key_hex=LINK_KEY.hex(), password="p")
        )

    async def open(self) -> None:
        self.database = open_database(self.url, "m2m", inline=True)
        config = M2mConfig(
            master_key=bytes(32),
            webhook_secret=bytes(32),
            allowed_callback_hosts=frozenset({"partner.example"}),
            resend_after_s=RESEND_AFTER_S,
            command_life_s=LIFE_S,
        )
        self.service = M2mService(
            database=self.database,
            clock=self.clock,
            entropy=SeededEntropy(len(self.created)),
            config=config,
            http=self.partner,
            resolver=SystemResolver(),
        )
        await self.service.start()
        await self.service.firmware.put("next.img", b"image", client="tester")

    async def settle(self) -> None:
        """Let the dispatcher deliver what is due."""
        dispatcher = self.service._dispatcher
        dispatcher._wake.set()
        for _ in range(20):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while any(dispatcher._running.values()) or await self.is_due():
                await asyncio.sleep(0.001)

    async def is_due(self) -> bool:
        """Whether a callback should have been taken up."""
        outbox = self.service._store.outbox
        at_ms = await self.database.read(lambda connection: outbox.next_due_ms(connection, ["callback"]))
        return at_ms is not None and at_ms <= self.clock.now_ms()

    async def close(self) -> None:
        await self.service.stop()
        await self.database.close()

    # What happens

    @rule(number=st.integers(0, 6), has_callback=st.booleans())
    def create(self, number: int, has_callback: bool) -> None:
        text = self.runner.run(
            self.service.create(
                identifier=SERIAL,
                name="unlock_token",
                details={"unlock_code": str(1000 + number)},
                callback_url="http://partner.example/hook" if has_callback else None,
                reference=str(number),
            )
        )
        assert text == f"TOKEN: {1000 + number}"
        self.created.setdefault(str(number), len(self.created) + 1)

    @rule(number=st.integers(0, 2), name=st.sampled_from(["synciv", "synciv", "update"]))
    def create_another(self, number: int, name: str) -> None:
        reference = f"{name} {number}"
        creation = self.service.create(
            identifier=SERIAL,
            name=name,
            details={"file": "next.img"},
            callback_url=None,
            reference=reference,
        )
        self.runner.run(creation)
        self.created.setdefault(reference, len(self.created) + 1)

    @rule()
    def finish_update(self) -> None:
        self.device.finish_update()

    @precondition(lambda self: self.created)
    @rule(data=st.data(), what=st.sampled_from(["cancel", "retry", "retry"]))
    def operate(self, data: st.DataObject, what: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.created.values())))
        change = getattr(self.service.lifecycle, what)
        with contextlib.suppress(Conflict):  # it has ended otherwise
            self.runner.run(change(number, ANYBODY))

    @rule()
    def expire(self) -> None:
        self.runner.run(self.service.housekeeping.turn())

    @rule()
    def come_online(self) -> None:
        self.boots += 1
        self.runner.run(self.service.report_state(SERIAL, False, self.boots - 1))
        self.runner.run(self.service.report_state(SERIAL, True, self.boots))

    @rule(confirmed=st.booleans(), arrives=st.booleans())
    def publish(self, confirmed: bool, arrives: bool) -> None:
        items = self.runner.run(self.service.feed.lease(limit=10, wait_s=0))
        frames = self.frames(items)
        if arrives:
            self.in_the_air += frames
        if confirmed:
            self.runner.run(self.service.feed.confirm([item.id for item in items]))

    @rule()
    def answer_before_the_confirmation(self) -> None:
        """A quick device: its result is here before the bridge has confirmed what it published."""
        items = self.runner.run(self.service.feed.lease(limit=10, wait_s=0))
        for frame in self.frames(items):
            self.device.receive(frame)
        self.take(self.device.frame(), answer_arrives=True)
        self.runner.run(self.service.feed.confirm([item.id for item in items]))

    @precondition(lambda self: self.in_the_air)
    @rule(repeated=st.booleans())
    def deliver_down(self, repeated: bool) -> None:
        frame = self.in_the_air[0] if repeated else self.in_the_air.pop(0)
        self.device.receive(frame)

    @rule(arrives=st.booleans(), answer_arrives=st.booleans(), says_status=st.booleans())
    def send_up(self, arrives: bool, answer_arrives: bool, says_status: bool) -> None:
        if says_status:
            self.device.status(at=self.clock.now_ms() // 1000)
        self.last_up = self.device.frame()
        if arrives:
            self.take(self.last_up, answer_arrives=answer_arrives)

    @precondition(lambda self: self.last_up is not None)
    @rule(answer_arrives=st.booleans())
    def repeat_up(self, answer_arrives: bool) -> None:
        self.take(self.last_up or b"", answer_arrives=answer_arrives)

    @rule()
    def start_device(self) -> None:
        now_s = self.clock.now_ms() // 1000
        self.device.keep(wire.Boot(self.device.next_number(), now_s, 1, 0, 0, b"\x01\x00\x00"))

    @rule(answer=st.sampled_from([200, 200, 500, 0]))
    def run_callbacks(self, answer: int) -> None:
        self.partner.answer = answer
        self.runner.run(self.settle())

    @rule(seconds=st.sampled_from([1, 31, 700, LIFE_S]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart_service(self) -> None:
        self.partner.answer = 0
        self.runner.run(self.close())
        self.runner.run(self.open())

    def take(self, frame: bytes, *, answer_arrives: bool) -> None:
        (answer,) = self.runner.run(self.service.ingest([(SERIAL, frame)]))
        assert answer.refused is None
        self.seen(answer.down)
        if answer_arrives:
            for down in answer.down:
                self.device.receive(down)

    def frames(self, items: Sequence[FeedItem]) -> list[bytes]:
        """What goes down; the rest tells the ops topics of commands that ended."""
        found = [item.payload for item in items if item.channel == "down"]
        self.seen(found)
        return found

    def seen(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            header = wire.decode_header(frame)
            assert self.sealed.setdefault((header.epoch, header.sequence), frame) == frame

    # What holds

    @invariant()
    def each_is_done_once(self) -> None:
        assert len(self.device.executed) == len(set(self.device.executed))
        assert set(self.device.executed) <= set(self.created.values())

    @invariant()
    def each_reply_has_one_callback(self) -> None:
        def read(connection: Connection) -> list[tuple[object, ...]]:
            return [
                tuple(row)
                for row in connection.exec_driver_sql(
                    "SELECT c.id, c.state, c.callback_url, c.callback_delivered_at_ms, c.sent_at_ms, "
                    "(SELECT count(*) FROM outbox o"
                    " WHERE o.kind = 'callback' AND o.key = CAST(c.id AS TEXT)) FROM commands c"
                ).all()
            ]

        rows = self.runner.run(self.database.read(read))
        assert len(rows) == len(self.created)
        for command_id, state, url, delivered_at_ms, sent_at_ms, waiting in rows:
            owed = state == "replied" and url is not None
            assert waiting + (delivered_at_ms is not None) == int(owed)
            assert state != "replied" or (command_id in self.device.executed and sent_at_ms is not None)
            before = self.ended.get(command_id)
            assert before in (None, state, "expired")  # which may begin again
            if state in ("replied", "expired", "cancelled"):
                self.ended[command_id] = state
            else:
                self.ended.pop(command_id, None)
            assert delivered_at_ms is None or self.partner.accepted[f"m2m-command-{command_id}"] >= 1

    def teardown(self) -> None:
        """With a good link and a good partner everything ends: replied, called back, each record stored."""
        self.partner.answer = 200
        for _ in range(20):
            self.clock.advance(RESEND_AFTER_S + 700)
            self.device.finish_update()
            self.device.status()
            self.take(self.device.frame(), answer_arrives=True)
        self.runner.run(self.close())
        self.runner.run(self.open())  # a start makes every waiting callback due
        self.runner.run(self.settle())
        audit = self.runner.run(self.service.audit())
        assert sum(audit.commands.values()) == len(self.created)
        assert set(audit.commands) <= {"replied", "expired", "cancelled"}
        assert not self.device.unacknowledged or set(self.device.unacknowledged) == {self.device.number}
        assert audit.records[SERIAL].missing == 0
        self.each_reply_has_one_callback()
        self.runner.run(self.close())
        self.runner.close()
        self.new_database_url.drop(self.url)


def test_commands(new_database_url: NewDatabase, database_kind: str) -> None:
    run_state_machine_as_test(
        lambda: CommandMachine(new_database_url),
        settings=settings(max_examples=examples(database_kind, 40), stateful_step_count=30),
    )
