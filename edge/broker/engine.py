"""amqtt's broker, wrapped once: the only module that touches amqtt's inside, with the reason for each change.

amqtt keeps sessions, subscriptions, retained publications and wills, packs and unpacks packets, and asks the
plugins. Changed (0.12.1):
- a client's packets are taken in order, one at a time: amqtt starts a task a packet and cancels what still
  runs when the connection ends, so that a publish followed by a close can be lost after its PUBACK;
- QoS 1 waits for the PUBACK as long as the session is connected (amqtt: 5 s, then it forgets), and what a
  persistent session has not acknowledged is kept and sent again when it comes back;
- a delivery has the lower of the publisher's and the subscriber's QoS (amqtt: the subscriber's), and a
  subscription that comes meanwhile can't break off the fan-out;
- a client gets the retained publications of the filters that it subscribes to (amqtt: at connect those of
  every filter of anyone, so that a device would read another's);
- a session that another login has left behind is not inherited, and one that came back while amqtt's monitor
  was about to expire it is left alone.
QoS 2 is not offered: a subscription is granted QoS 1, a QoS 2 publish ends the connection.
A denied publish is acknowledged and dropped, a denied subscription answered 0x80; both are counted.
Next: `plugins.py` (the rules).
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from ssl import SSLObject
from typing import Any

from amqtt.adapters import BufferReader, ReaderAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import AMQTTError, CodecError, MQTTError, NoDataError, ProtocolHandlerError
from amqtt.mqtt import packet_class
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from amqtt.session import IncomingApplicationMessage, OutgoingApplicationMessage, Session

from edge.broker.handshake import Connect, PacketError
from edge.broker.links import Link, Packets
from edge.broker.plugins import LOGIN
from edge.broker.quiet import quiet
from edge.broker.rules import Login

_LISTENER = "default"
_KEEP_ALIVE_FACTOR = 1.5  # MQTT-3.1.2-24
_MAX_ROUTING = 1_000
"""Publications accepted and not yet fanned out; beyond it publishers wait."""
_MAX_OUTSTANDING = 2_000
"""Deliveries of one session that wait for its socket or its PUBACK, and as many kept while it is away.
Beyond it the newest is dropped and counted: devices send again until the application acknowledges."""
_SESSION_EXPIRY_S = 24 * 3600
"""A persistent session that stays away a day is forgotten."""
_MAX_QOS = 1
_REFUSED = 0x80


BAD_PACKET = (AMQTTError, MQTTError, CodecError, NoDataError)
"""What amqtt raises for a packet that it can't decode."""


class _DeliveryLostError(Exception):
    """The connection ended before the PUBACK."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Client(ReaderAdapter):
    """An admitted client; amqtt carries it where it expects a reader."""

    def __init__(self, *, connect: Connect, login: Login, packets: Packets) -> None:
        self.connect = connect
        self.login = login
        self.packets = packets

    async def read(self, n: int = -1) -> bytes:
        raise NotImplementedError("packets come whole, through `packets`")

    def feed_eof(self) -> None:
        raise NotImplementedError("the link is closed instead")


class _LinkWriter(WriterAdapter):
    """amqtt's way to a link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        self._pending += data

    async def drain(self) -> None:
        data = bytes(self._pending)
        self._pending.clear()
        await self._link.send(data)

    def get_peer_info(self) -> tuple[str, int]:
        return self._link.peer

    def get_ssl_info(self) -> SSLObject | None:
        return None

    async def close(self) -> None:
        await self._link.close()


class _Handler(BrokerProtocolHandler):
    """One connection: takes its packets in order."""

    def __init__(self, engine: "Engine", client: Client) -> None:
        super().__init__(engine.plugins_manager)
        self._engine = engine
        self._packets = client.packets
        keep_alive_s = client.connect.keep_alive_s
        self._silence_limit_s = keep_alive_s * _KEEP_ALIVE_FACTOR if keep_alive_s else None
        self._stopped = False
        self.outstanding = 0
        self.farewell: asyncio.Future[DisconnectPacket | None] = asyncio.get_running_loop().create_future()

    async def _reader_loop(self) -> None:
        if self._reader_ready is not None:  # `start` made it
            self._reader_ready.set()
        try:
            while not self.farewell.done():
                data = await self._packets.next(self._silence_limit_s)
                if data is None:
                    break
                await self._engine.take(self.attached_session, self, await decode(data))
        except asyncio.CancelledError:
            self.logger.debug("reading ends: the handler stops")
        except PacketError as error:
            self._engine.count_broken(str(error))
        except BAD_PACKET:
            self._engine.count_broken("bad_packet")
        except (ProtocolHandlerError, OSError):
            self.logger.debug("reading ends: the connection is gone")
        finally:
            await self.handle_connection_closed()
            self._reader_stopped.set()

    @property
    def attached_session(self) -> Session:
        if self.session is None:
            raise ProtocolHandlerError("`attach` comes first")
        return self.session

    async def handle_disconnect(self, disconnect: DisconnectPacket | None) -> None:
        if not self.farewell.done():
            self.farewell.set_result(disconnect)

    async def wait_disconnect(self) -> DisconnectPacket | None:
        await asyncio.wait([self.farewell])
        return self.farewell.result()

    async def stop(self) -> None:
        self._stopped = True
        await super().stop()
        await self.handle_disconnect(None)

    async def acknowledge(self, packet_id: int) -> None:
        await self._send_packet(PubackPacket.build(packet_id))

    async def _handle_qos1_message_flow(
        self, app_message: OutgoingApplicationMessage | IncomingApplicationMessage
    ) -> None:
        """Send, then wait for the PUBACK; raises _DeliveryLostError when the connection ends first."""
        packet_id, session = app_message.packet_id, self.attached_session
        if self._stopped or packet_id is None or not isinstance(app_message, OutgoingApplicationMessage):
            raise _DeliveryLostError
        acknowledged: asyncio.Future[PubackPacket] = asyncio.get_running_loop().create_future()
        self._puback_waiters[packet_id] = acknowledged
        session.inflight_out[packet_id] = app_message
        try:
            await self._send_packet(app_message.build_publish_packet())
            await asyncio.wait([acknowledged])
        finally:
            self._puback_waiters.pop(packet_id, None)
            session.inflight_out.pop(packet_id, None)
        if acknowledged.cancelled():
            raise _DeliveryLostError


async def decode(data: bytes) -> object:
    """Return amqtt's packet of these bytes, a whole packet; raises one of BAD_PACKET."""
    reader = BufferReader(data)
    header = await MQTTFixedHeader.from_stream(reader)
    if header is None:
        raise NoDataError
    return await packet_class(header).from_stream(reader, fixed_header=header)


class Engine(Broker):
    """The broker without listeners of its own: `serve` runs one admitted client."""

    def __init__(self) -> None:
        quiet()
        super().__init__(
            BrokerConfig(
                listeners={_LISTENER: ListenerConfig(type=ListenerType.EXTERNAL)},
                plugins={"edge.broker.plugins.AdmittedOnly": {}, "edge.broker.plugins.TopicRules": {}},
                session_expiry_interval=_SESSION_EXPIRY_S,
            )
        )
        self._broadcast_queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_MAX_ROUTING)
        self._deliveries: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    async def serve(self, link: Link, client: Client) -> None:
        """Run an admitted client until it is gone; its will has been routed then."""
        await self.external_connected(client, _LinkWriter(link), _LISTENER)

    def may_use(self, client_id: str, username: str) -> bool:
        """Tell whether this user may have the client id: it is his name, or nobody else's session has it."""
        session, _ = self.sessions.get(client_id, (None, None))
        return session is None or username in (client_id, session.username)

    def forget_wills(self) -> None:
        """Publish no will from here on: the broker goes, not the devices."""
        for session, _ in self.sessions.values():
            session.will_flag = False

    async def shutdown(self) -> None:
        await super().shutdown()
        for task in self._deliveries:
            task.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)

    def count_broken(self, reason: str) -> None:
        """Count a connection that ends for a broken packet."""
        self.counters[f"broken_{reason}"] += 1

    async def take(self, session: Session, handler: _Handler, packet: object) -> None:
        """Act on one packet of a connected client; raises MQTTError for one that has no place here."""
        match packet:
            case PublishPacket():
                await self._take_publish(session, handler, packet)
            case PubackPacket():
                await handler.handle_puback(packet)
            case PingReqPacket():
                await handler.handle_pingreq(packet)
            case SubscribePacket():
                await self._take_subscribe(session, handler, packet)
            case UnsubscribePacket():
                await self._take_unsubscribe(session, handler, packet)
            case DisconnectPacket():
                await handler.handle_disconnect(packet)
            case _:
                raise MQTTError("unexpected packet")

    async def _take_publish(self, session: Session, handler: _Handler, packet: PublishPacket) -> None:
        topic, data, qos = packet.topic_name, packet.data or b"", packet.qos or 0
        if not topic or qos > _MAX_QOS:
            raise MQTTError("no topic, or a QoS that is not offered")
        if await self._topic_filtering(session, topic, Action.PUBLISH):
            await self._broadcast_message(session, topic, data, qos)
            if packet.retain_flag:
                await self.retain_message(session, topic, data, qos)
        else:
            self.counters["denied_publish"] += 1
        if qos:
            await handler.acknowledge(packet.packet_id or 0)

    async def _take_subscribe(self, session: Session, handler: _Handler, packet: SubscribePacket) -> None:
        if packet.variable_header is None or packet.payload is None or not packet.payload.topics:
            raise MQTTError("SUBSCRIBE without a filter")
        wanted = packet.payload.topics
        granted = [await self.add_subscription(subscription, session) for subscription in wanted]
        self.counters["denied_subscribe"] += granted.count(_REFUSED)
        await handler.mqtt_acknowledge_subscription(packet.variable_header.packet_id, granted)
        for (topic_filter, _), qos in zip(wanted, granted, strict=True):
            if qos != _REFUSED:
                self._send_retained(session, topic_filter, qos)

    async def _take_unsubscribe(self, session: Session, handler: _Handler, packet: UnsubscribePacket) -> None:
        if packet.variable_header is None or packet.payload is None:
            raise MQTTError("UNSUBSCRIBE without a filter")
        for topic_filter in packet.payload.topics:
            self._del_subscription(topic_filter, session)
        await handler.mqtt_acknowledge_unsubscription(packet.variable_header.packet_id)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        topic_filter, qos = subscription
        return await super().add_subscription((topic_filter, min(qos, _MAX_QOS)), session)

    async def _cleanup_session(self, client_id: str) -> None:
        session, _ = self.sessions.get(client_id, (None, None))
        if session is None or session.transitions.state != "connected":
            await super()._cleanup_session(client_id)

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        del writer
        if not isinstance(reader, Client):
            raise TypeError("`serve` is the only way in")
        connect = reader.connect
        known, _ = self.sessions.get(connect.client_id, (None, None))
        if known is not None and (
            connect.clean_session or known.clean_session or known.username != connect.username
        ):
            await self._delete_session(connect.client_id)
            known = None
        session = known or Session()
        session.parent = 1 if known else 0
        session.client_id = connect.client_id or f"anonymous-{id(session)}"
        session.clean_session = connect.clean_session
        session.username = connect.username
        session.remote_address, session.remote_port = remote_address, remote_port
        session.attributes[LOGIN] = reader.login
        session.will_flag = connect.will is not None
        if connect.will is not None:
            session.will_topic, session.will_message = connect.will.topic, connect.will.payload
            session.will_qos, session.will_retain = connect.will.qos, connect.will.retain
        return _Handler(self, reader), session

    async def _client_message_loop(self, client_session: Session, handler: BrokerProtocolHandler) -> None:
        if not isinstance(handler, _Handler):
            raise TypeError("`_initialize_client_session` makes another")
        try:
            await handler.wait_disconnect()
        finally:
            await handler.handle_disconnect(None)
            await self._handle_disconnect(client_session, handler, handler.farewell)

    async def _run_broadcast(self, running_tasks: deque[asyncio.Task[OutgoingApplicationMessage]]) -> None:
        del running_tasks  # deliveries are kept in a set of our own, whose order does not matter
        broadcast = await self._broadcast_queue.get()
        topic, payload, qos = broadcast["topic"], bytes(broadcast["data"] or b""), broadcast.get("qos") or 0
        for topic_filter, subscribers in self._subscriptions.items():
            if self._matches(topic, topic_filter):
                for session, granted in subscribers:
                    self._start(session, _Delivery(topic, payload, min(qos, granted, _MAX_QOS), retain=False))

    async def _publish_session_retained_messages(self, session: Session) -> None:
        """Send what waited for a persistent session; amqtt calls this after its CONNACK."""
        while not session.retained_messages.empty():
            kept = session.retained_messages.get_nowait()
            self._start(session, _Delivery(kept.topic, bytes(kept.data), _MAX_QOS, retain=False))

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Do nothing: amqtt calls this at connect with everybody's filters; see `_send_retained`."""

    def _send_retained(self, session: Session, topic_filter: str, granted: int) -> None:
        for topic, kept in self._retained_messages.items():
            if self._matches(topic, topic_filter):
                qos = min(granted, kept.qos or 0)
                self._start(session, _Delivery(topic, bytes(kept.data), qos, retain=True))

    def _start(self, session: Session, delivery: _Delivery) -> None:
        handler = self._get_handler(session)
        if not isinstance(handler, _Handler) or session.transitions.state != "connected":
            self._keep(session, delivery)
        elif handler.outstanding >= _MAX_OUTSTANDING:
            self.counters["dropped"] += 1
        else:
            handler.outstanding += 1
            task = asyncio.ensure_future(self._deliver(session, handler, delivery))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)

    async def _deliver(self, session: Session, handler: _Handler, delivery: _Delivery) -> None:
        try:
            await handler.mqtt_publish(
                delivery.topic, delivery.payload, delivery.qos, delivery.retain, ack_timeout=None
            )
        except (_DeliveryLostError, ProtocolHandlerError, AMQTTError, OSError):
            self._keep(session, delivery)
        finally:
            handler.outstanding -= 1

    def _keep(self, session: Session, delivery: _Delivery) -> None:
        """Keep a QoS 1 delivery for a persistent session that is away."""
        if delivery.qos == 0 or session.clean_session:
            return
        if session.retained_messages.qsize() >= _MAX_OUTSTANDING:
            self.counters["dropped"] += 1
            return
        session.retained_messages.put_nowait(
            OutgoingApplicationMessage(None, delivery.topic, delivery.qos, delivery.payload, retain=False)
        )
