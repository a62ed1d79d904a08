"""The two plugins that amqtt asks: is this client admitted, may it use this topic. It loads them by path."""

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from edge.broker.rules import Login, may_publish, may_subscribe

LOGIN = "payg.login"
"""The session attribute that holds the Login."""


class AdmittedOnly(BaseAuthPlugin):
    """Lets pass whom `admission.py` has admitted, nobody else."""

    async def authenticate(self, *, session: Session) -> bool:
        return _login(session) is not None


class TopicRules(BaseTopicPlugin):
    """Applies `rules.py`; no login, no topic."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        login = _login(session)
        if login is None or topic is None:
            return False
        if action is Action.PUBLISH:
            return may_publish(login, topic)
        return action is Action.SUBSCRIBE and may_subscribe(login, topic)


def _login(session: Session | None) -> Login | None:
    login = session.attributes.get(LOGIN) if session is not None else None
    return login if isinstance(login, Login) else None
