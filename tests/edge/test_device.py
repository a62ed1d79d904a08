"""A virtual device at a real broker: online, tokens from both sides, and back after trouble."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import LogCapture

from edge.broker import BrokerPorts, EmbeddedBroker, Login
from edge.device import VirtualDevice, readings_at
from firmware.store import StoreError
from protocols import topics
from protocols.magicbox import seal, wire
from tests.edge.broker.paho_client import PahoClient
from tests.firmware.rig import DAY_S, LINK_KEY, moto_config, moto_token, openpaygo_config

SERIAL = "T/1"
PASSWORD = "pw"


class Logins:
    """Implements edge.broker's Logins for one device and the bridge."""

    async def verify(self, username: str, password: str) -> Login | None:
        known = {topics.encode_serial(SERIAL): Login("device", SERIAL), "bridge": Login("bridge")}
        return known.get(username) if password == PASSWORD else None


class BackEnd:
    """What the bridge and m2m do for one device: read records, acknowledge them, seal frames."""

    def __init__(self, client: PahoClient) -> None:
        self.client = client
        self._up = seal.LinkKeys(LINK_KEY, seal.UP)
        self._down = seal.LinkKeys(LINK_KEY, seal.DOWN)
        self._sequences = count()
        self._unread: list[wire.Record] = []

    async def send(self, *records: wire.Record) -> None:
        frame = seal.seal(self._down, 0, next(self._sequences), wire.encode_records(records), True)
        await self.client.publish(topics.down(SERIAL), frame, qos=0)

    async def until(self, kind: type) -> wire.Record:
        """Read records, acknowledging each, up to one of a kind."""
        while True:
            while not self._unread:
                message = await self.client.next_message()
                if message.topic == topics.up(SERIAL):
                    self._unread = wire.decode_records(seal.unseal(self._up, message.payload)[1])
            record = self._unread.pop(0)
            assert not isinstance(record, wire.Unknown)
            await self.send(wire.Ack(record.record, record.record))
            if isinstance(record, kind):
                return record

    async def until_state(self, state: str) -> dict[str, object]:
        while True:
            message = await self.client.next_message()
            if message.topic == topics.state(SERIAL) and json.loads(message.payload)["state"] == state:
                return json.loads(message.payload)


class World:
    """A broker, a back end, and devices that the test makes."""

    def __init__(self, ports: BrokerPorts, back_end: BackEnd) -> None:
        self.ports = ports
        self.back_end = back_end
        self.devices: list[VirtualDevice] = []

    def device(self, store: Path | None = None, **options: object) -> VirtualDevice:
        options.setdefault("password", PASSWORD)
        options.setdefault("port", self.ports.mqtt_port)
        options.setdefault("may_provision", True)
        device = VirtualDevice(
            moto_config(),
            host="127.0.0.1",
            store=store,
            wall=lambda: 1_800_000_000.0,
            entropy=random.Random(1),
            durable=False,
            **options,  # pyright: ignore
        )
        self.devices.append(device)
        return device


@pytest.fixture
async def world() -> AsyncIterator[World]:
    broker = EmbeddedBroker(logins=Logins(), log=structlog.wrap_logger(None, processors=[LogCapture()]))
    ports = await broker.start()
    client = PahoClient(port=ports.mqtt_port, username="bridge", password=PASSWORD, client_id="bridge")
    assert await client.connect() == 0
    for leaf in ("up", "state"):
        await client.subscribe(f"payg/v1/dev/+/{leaf}")
    world = World(ports, BackEnd(client))
    yield world
    for device in world.devices:
        await device.stop()
    await client.close()
    await broker.stop()


async def test_online_token_by_command_and_the_same_digits_by_hand(world: World) -> None:
    device = world.device()
    await device.start()
    assert (await world.back_end.until_state("online"))["boot_id"] == 1
    boot = await world.back_end.until(wire.Boot)
    assert isinstance(boot, wire.Boot)
    assert (boot.boot_id, boot.family) == (1, wire.FAMILY_MOTO)
    digits = moto_token("unlock_relative", 30, 1)
    await world.back_end.send(wire.Token(5, digits.encode()))
    answer = await world.back_end.until(wire.CommandResult)
    assert isinstance(answer, wire.CommandResult)
    assert (answer.command_id, answer.result, answer.detail) == (5, wire.COMMAND_RESULT_OK, b"accepted")
    status = await world.back_end.until(wire.Status)
    assert isinstance(status, wire.Status)
    assert status.relay == 1
    assert device.type_keys(digits)["result"] == "already_used"
    snapshot = device.snapshot()
    credit_s = snapshot.pop("credit_s")
    assert credit_s in range(30 * DAY_S - 30, 30 * DAY_S + 1)
    assert snapshot == {
        "serial": SERIAL,
        "relay": True,
        "state": "active",
        "token_count": 1,
        "online": True,
        "display": ["ALREADY USED", f"{int(str(credit_s)) // DAY_S} DAYS LEFT"],
    }


async def test_the_keypad_reports_and_the_state_survives_a_restart(world: World, tmp_path: Path) -> None:
    device = world.device(tmp_path / "flash")
    await device.start()
    digits = moto_token("unlock_relative", 30, 1)
    assert device.type_keys("*" + digits + "#")["result"] == "accepted"
    event = await world.back_end.until(wire.TokenEvent)
    assert isinstance(event, wire.TokenEvent)
    assert (event.source, event.payload) == (wire.SOURCE_KEYPAD, 30)
    await device.stop()
    assert (await world.back_end.until_state("offline"))["boot_id"] == 1
    await device.start()
    assert (await world.back_end.until_state("online"))["boot_id"] == 2
    assert device.type_keys(digits)["result"] == "already_used"
    assert device.snapshot()["relay"] is True


async def test_it_comes_back_after_a_lost_connection(world: World) -> None:
    """The network is a port: this one cuts the first connection."""
    transports: list[asyncio.BaseTransport] = []

    async def connect(
        factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        opened = await asyncio.get_running_loop().create_connection(factory, host, port)
        transports.append(opened[0])
        return opened

    device = world.device(connect=connect)
    await device.start()
    await world.back_end.until_state("online")
    transport = transports[0]
    assert isinstance(transport, asyncio.Transport)
    transport.abort()
    await world.back_end.until_state("offline")  # the will
    await world.back_end.until_state("online")
    assert len(transports) == 2


async def test_a_wrong_password_or_no_broker_keeps_it_working_offline(world: World) -> None:
    for options in ({"password": "wrong"}, {"port": 1}):
        device = world.device(**options)
        await device.start()
        await asyncio.sleep(0.05)
        assert device.type_keys(moto_token("unlock_relative", 3, 1))["result"] == "accepted"
        assert (device.snapshot()["relay"], device.snapshot()["online"]) == (True, False)
        await device.stop()


async def test_another_device_s_flash_is_refused(world: World, tmp_path: Path) -> None:
    first = world.device(tmp_path / "flash")
    await first.start()
    await first.stop()
    other = VirtualDevice(
        openpaygo_config(),
        password=PASSWORD,
        host="127.0.0.1",
        port=1,
        store=tmp_path / "flash",
        may_provision=True,
        wall=lambda: 0.0,
        entropy=random.Random(1),
    )
    with pytest.raises(StoreError, match="another secret"):
        await other.start()
    with pytest.raises(RuntimeError, match="not started"):
        other.snapshot()


async def test_starting_twice_is_an_error(world: World) -> None:
    device = world.device()
    await device.start()
    with pytest.raises(RuntimeError, match="started already"):
        await device.start()


async def test_a_device_whose_flash_is_gone_is_tampered_and_a_sealed_sync_brings_it_back(
    world: World, tmp_path: Path
) -> None:
    file = tmp_path / "flash"
    device = world.device(file, may_provision=False)
    await device.start()
    alarm = await world.back_end.until(wire.Alarm)
    assert isinstance(alarm, wire.Alarm)
    assert alarm.kind == wire.ALARM_KIND_TAMPERED
    answer = device.type_keys(moto_token("unlock_relative", 30, 41))
    assert (answer["result"], device.snapshot()["state"]) == ("locked", "tampered")
    await device.stop()
    device = world.device(file, may_provision=False)  # no better after a restart
    await device.start()
    assert device.snapshot()["state"] == "tampered"
    await world.back_end.until(wire.Alarm)  # a device without its memory believes only who answers it
    await world.back_end.send(wire.Sync(1, 40))
    await world.back_end.until(wire.CommandResult)
    assert device.type_keys(moto_token("unlock_relative", 30, 40))["result"] == "already_used"
    assert device.type_keys(moto_token("unlock_relative", 30, 41))["result"] == "accepted"


async def test_a_reset_command_starts_the_device_again(world: World) -> None:
    device = world.device()
    await device.start()
    boot = await world.back_end.until(wire.Boot)
    await world.back_end.send(wire.Reset(1, wire.RESET_KIND_SOFT, bytes(8)))
    answer = await world.back_end.until(wire.CommandResult)
    assert isinstance(answer, wire.CommandResult)
    assert (answer.command_id, answer.result) == (1, wire.COMMAND_RESULT_OK)
    again = await world.back_end.until(wire.Boot)
    assert isinstance(boot, wire.Boot)
    assert isinstance(again, wire.Boot)
    assert again.boot_id == boot.boot_id + 1


async def test_a_damaged_flash_is_refused(world: World, tmp_path: Path) -> None:
    file = tmp_path / "flash"
    device = world.device(file)
    await device.start()
    await device.stop()
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(StoreError, match="is damaged"):
        await world.device(file).start()


async def test_a_store_that_fails_for_a_while_kills_nothing(world: World, tmp_path: Path) -> None:
    """The sealed command comes while the file is away: nothing is granted, and all of it after it is back."""
    file, away = tmp_path / "flash", tmp_path / "away"
    device = world.device(file)
    await device.start()
    await world.back_end.until(wire.Status)
    file.rename(away)
    with structlog.testing.capture_logs() as logs:
        digits = moto_token("unlock_relative", 30, 1)
        with pytest.raises(StoreError):
            device.type_keys(digits)
        assert device.snapshot()["relay"] is False
        await world.back_end.send(wire.Sync(9, 0))
        while not any(log["event"] == "device_store_failed" for log in logs[1:]):
            await asyncio.sleep(0.01)
        away.rename(file)
        answer = await world.back_end.until(wire.TokenEvent)
    assert isinstance(answer, wire.TokenEvent)
    assert answer.result == wire.RESULT_ACCEPTED
    assert (device.snapshot()["relay"], device.snapshot()["online"]) == (True, True)


@given(st.floats(0, 4e9), st.integers(0, 2**32 - 1), st.booleans())
def test_the_sensors_stay_within_what_a_record_holds(unix_s: float, seed: int, relay: bool) -> None:
    readings = readings_at(unix_s, seed=seed, relay=relay)
    assert 11_000 <= readings.battery_mv <= 14_500
    assert 0 <= readings.panel_mv <= 19_000
    assert (readings.load_ma > 0) == relay
    assert 150 <= readings.temperature_dc <= 400


def test_the_panel_follows_the_sun() -> None:
    midnight = 1_800_000_000 - (1_800_000_000 + 3 * 3600) % DAY_S
    assert readings_at(midnight, seed=3, relay=False).panel_mv == 0
    assert readings_at(midnight + DAY_S // 2, seed=3, relay=False).panel_mv > 10_000
