"""TLS files for a process under test: a private authority, and what it vouches for on loopback."""

from dataclasses import dataclass
from pathlib import Path

from tests.firmware.network_rig import certificates


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority's certificate, and the server's with its key in one file."""

    ca: Path
    server: Path

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a process that listens and connects with them."""
        return {
            "PAYG_TLS_CERTIFICATE": str(self.server),
            "PAYG_TLS_KEY": str(self.server),
            "PAYG_TLS_CA": str(self.ca),
        }


def make(folder: Path) -> Certificates:
    """Files in `folder`, good for 127.0.0.1 and localhost for a day."""
    ca, _ = certificates(folder)
    return Certificates(Path(ca), folder / "localhost.pem")
