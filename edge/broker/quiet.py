"""What amqtt logs and nobody needs."""

import logging


def quiet() -> None:
    """Keep amqtt from logging every connection; done when a broker is built, not at import."""
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("amqtt.broker").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Not what a stop always leaves: services and devices send again whatever nobody confirmed."""
    return "not broadcasted" not in record.getMessage()
