"""What `payg up` prints when everything listens: where it is, and what to try, as commands to paste."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

Json = Mapping[str, object]


def banner(credentials: Json, data_dir: Path) -> str:
    """The text; it names no secret, only the file that has them."""
    http, ca = str(credentials["http"]), credentials["ca"]
    curl = "curl -s" if ca is None else f"curl -s --cacert {ca}"
    subscribe = "mosquitto_sub" if ca is None else f"mosquitto_sub --cafile {ca}"
    mqtt = cast("Mapping[str, object]", credentials["mqtt"])
    device = cast("Sequence[Mapping[str, object]]", credentials["devices"])[0]
    price = cast(int, device["price_per_day_subunit"]) // 100
    serial, reference, msisdn = device["serial"], device["account_reference"], device["msisdn"]
    secured = ", with TLS" if credentials["tls"] else ""
    sandboxes = " ".join(cast("Mapping[str, object]", credentials["sandbox"]))
    folder = "" if data_dir == Path("data") else f" --data-dir {shlex.quote(str(data_dir))}"
    return f"""
payg is up. Ctrl-C stops it; the next start finds everything as it is now.

  HTTP       {http}/, a page that leads to all of it
             /solarium /momo /mese /mega /moto /m2m /hub, each with /docs and /openapi.json
             /sandbox/{sandboxes}
  MQTT       {mqtt["host"]}:{mqtt["port"]}, over WebSocket on port {mqtt["ws_port"]}{secured}
  Secrets    {data_dir}/credentials.json

Try, in another terminal:

  # Dial in as a customer of {device["market"]} and pay for 3 days: menu 1, account, amount, 1 to confirm.
  {curl} {http}/mese/ussd --data-urlencode sessionId=demo-$RANDOM --data-urlencode phoneNumber=+{msisdn} \\
    --data-urlencode 'serviceCode=*284#' --data-urlencode networkCode=64110 \\
    --data-urlencode 'text=1*{reference}*{3 * price}*1'

  # The device's light.
  .venv/bin/payg device show --serial {serial}{folder}

  # Every device's status, as operations see it (any MQTT client will do).
  {subscribe} -h {mqtt["host"]} -p {mqtt["port"]} -t 'payg/v1/ops/#' -v \\
    -u ops -P "$(.venv/bin/payg credentials mqtt.ops.password{folder})"

  # Type on the device's keypad: a guess costs, and the digits of the SMS are used up already.
  .venv/bin/payg device type --serial {serial}{folder} 123456789
"""
