"""Options that commands of many kinds take. Nothing of ours is imported: `payg --help` is instant."""

from pathlib import Path
from typing import Annotated

import typer

DATA_DIR = Path("data")
DataDirOption = Annotated[Path, typer.Option(help="Where `payg up` or `payg serve` keeps its data.")]
DatabaseUrlOption = Annotated[str | None, typer.Option(help="Default: SQLite in DATA_DIR.")]
