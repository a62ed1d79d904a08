"""The embedded MQTT broker (amqtt) with device login and topic rules. Start reading at `embedded.py`."""

from edge.broker.admission import Logins
from edge.broker.embedded import BrokerPorts, EmbeddedBroker
from edge.broker.rules import Login, Role

__all__ = ["BrokerPorts", "EmbeddedBroker", "Login", "Logins", "Role"]
