"""The update and the provisioning run on MicroPython too: a download from its first byte to a confirmed
version, over the board's own files.
"""

import json
from pathlib import Path

import pytest

from edge.board import image
from firmware import boot
from firmware.hal.files import Files
from tests.firmware.update_rig import NEW
from tests.micropython_runner import run

SCRIPT = """
import sys
from firmware import boot
from firmware.hal.files import Files
from firmware.hal.files import Files
from firmware.image import native_arch
from firmware.order import UpdateOrder
from firmware.ota import Updater
from firmware.slots import Slots
import hashlib

folder, image_path = sys.argv[1:]
files = Files(folder)
with open(image_path, "rb") as file:
    content = file.read()


class Port:
    update_order = UpdateOrder(7, len(content), hashlib.sha256(content).digest(), "new.img")
    checked_in = False

    def update_failed(self, reason):
        print("failed", reason)
        self.update_order = None

    def update_confirmed(self):
        print("confirmed")
        self.update_order = None


def work(updater):
    for _ in range(200):
        updater.poll(0)
        if updater.wants_reset or updater.download is not None:
            return


port = Port()
updater = Updater(files, Slots(files, boot.choose(files.open)), port, ("h", 80, False, ""))
work(updater)
download = updater.download
download.opened(0)
assert download.output().startswith(b"GET /v1/firmware/new.img/checksum HTTP/1.1")
md5 = b"0" * 32
download.received(b"HTTP/1.1 200 OK\\r\\nContent-Length: 32\\r\\n\\r\\n" + md5, 0)
assert b"Range: bytes=0-" in download.output()
head = "HTTP/1.1 206 OK\\r\\nContent-Length: %d\\r\\nContent-Range: bytes 0-%d/%d\\r\\n\\r\\n"
download.received((head % (len(content), len(content) - 1, len(content))).encode(), 0)
for offset in range(0, len(content), 500):
    download.received(content[offset : offset + 500], 0)
updater.poll(0)
work(updater)
print(updater.wants_reset)
running = boot.choose(files.open)
print(running)
boot.use(running)
print(sys.path[0])
port.checked_in = True
updater = Updater(files, Slots(files, running), port, ("h", 80, False, ""))
work(updater)
print(native_arch())
"""

BOOT_SCRIPT = r"""
import os, sys, vfs

source, version_on_trial = sys.argv[1:]
with open(source) as file:
    boot_source = file.read()


class Ram:
    data = bytearray(64 * 512)

    def readblocks(self, block, buf, offset=0):
        start = block * 512 + offset
        buf[:] = self.data[start : start + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        start = block * 512 + offset
        self.data[start : start + len(buf)] = buf

    def ioctl(self, op, arg):
        return {4: 64, 5: 512}.get(op, 0)


class Machine:
    def reset(self):
        raise SystemExit


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


ram = Ram()
vfs.VfsLfs2.mkfs(ram)
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(ram), "/")
os.chdir("/")
sys.modules["machine"] = Machine()
write("/boot.py", boot_source.replace("RESTART_PAUSE_MS = 2_000", "RESTART_PAUSE_MS = 0"))
for slot in ("/a", "/b"):
    os.mkdir(slot)
    os.mkdir(slot + "/firmware")
write("/a/firmware/main.py", "def main(arguments):\n    print('old', arguments)\n")
write("/b/firmware/main.py", version_on_trial)


def start():
    for name in [name for name in sys.modules if name.startswith(("firmware", "boot"))]:
        del sys.modules[name]
    sys.path[:] = ["", "/lib"]
    exec(open("/boot.py").read(), {"__name__": "__main__"})
    try:
        exec(main_source, {"__name__": "__main__"})
        print("prompt")
    except SystemExit:
        print("reset from", sys.path[0])


sys.path[:] = ["", "/lib"]
import boot

main_source = boot.MAIN_SOURCE
start()
write("/identity.json", "{}")
start()
record = boot.load(open)
record.phase = boot.PENDING
boot.store(open, record)
for _ in range(4):
    start()
"""

TOLD = ("old", "new", "import", "run", "reset", "prompt")  # the rest is what errors print
OLD_STARTS = ["old []", "reset from /a"]


@pytest.mark.parametrize(
    ("on_trial", "said"),
    [
        ("def main(arguments):\n    print('new')\n", ["new"]),
        ("print('import')\nraise ValueError('broken')\n", ["import"]),
        ("def main(arguments):\n    print('run')\n    1 // 0\n", ["run"]),
        ("this is no program\n", []),
    ],
)
def test_three_starts_of_a_version_on_trial(on_trial: str, said: list[str]) -> None:
    done = run(BOOT_SCRIPT, [str(Path(boot.__file__)), on_trial])
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(TOLD)]
    trial = [*said, "reset from /b"]
    assert lines == ["prompt", *OLD_STARTS, *trial * 3, *OLD_STARTS]


def test_an_update_on_micropython(tmp_path: Path) -> None:
    arch = run("from firmware.image import native_arch\nprint(native_arch())").stdout.strip()
    assert arch == "x64"
    image_path = tmp_path / "new.img"
    image_path.write_bytes(image.pack(version=b"\x00\x02\x00", arch=arch, files=NEW))
    root = tmp_path / "root"
    root.mkdir()
    done = run(SCRIPT, [str(root), str(image_path)])
    assert done.returncode == 0, done.stderr or done.stdout
    assert done.stdout.split() == ["True", "/b", "/b", "confirmed", "x64"]
    made = {
        path.relative_to(root / "b").as_posix(): path for path in (root / "b").rglob("*") if path.is_file()
    }
    assert {name: path.read_bytes() for name, path in made.items()} == NEW
    assert sorted(path.name for path in root.iterdir()) == ["b", "boot.0", "boot.1"]
    assert boot.load(Files(str(root)).open).phase == boot.CONFIRMED


def test_a_provisioning_on_micropython(tmp_path: Path) -> None:
    identity = {"serial": "T/1", "secret": "00112233aabbcc", "link_key": "00" * 16, "password": "p"}
    (tmp_path / "identity.new").write_text(json.dumps(identity))
    script = (
        "import sys\n"
        "from firmware.hal.files import Files\n"
        "from firmware.file_store import FileStore\n"
        "from firmware.provisioning import commit\n"
        "files = Files(sys.argv[1])\n"
        "commit(files, FileStore(files))\n"
        "print(FileStore(files).load() is not None, files.size('/identity.json') > 0)\n"
    )
    done = run(script, [str(tmp_path)], heap="128wK")  # from source; a board has bytecode
    assert done.stdout.split() == ["True", "True"], done.stderr or done.stdout
    assert json.loads((tmp_path / "identity.json").read_text()) == identity
