// Runs one module of tests/device on MicroPython's WebAssembly build: 31-bit small integers, no viper.
//
//     node run.mjs CHECKOUT MODULE
//
// tests/device/runner.py prints a line a test. Exit code 1 when one failed. The build has no SHA-1 and no AES
// (boards have): node computes those.

import { createCipheriv, createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadMicroPython } from "@micropython/micropython-webassembly-pyscript/micropython.mjs";

const HEAP_BYTES = 256 * 1024; // 64 K words of 32 bits
const [checkout, name] = process.argv.slice(2);

const HASHLIB = `
import node_crypto
from uhashlib import sha256

class sha1:
    def __init__(self, data=b""):
        self._data = bytes(data)

    def update(self, data):
        self._data += data

    def digest(self):
        return bytes.fromhex(node_crypto.sha1(self._data.hex()))
`;
const CRYPTOLIB = `
import node_crypto

class aes:
    def __init__(self, key, mode):
        assert mode == 1  # ECB
        self._key = key.hex()

    def encrypt(self, data):
        return bytes.fromhex(node_crypto.aes(self._key, bytes(data).hex()))
`;

const fromHex = (digits) => Buffer.from(digits, "hex");

function aes(key, data) {
  const cipher = createCipheriv(`aes-${key.length * 4}-ecb`, fromHex(key), null).setAutoPadding(false);
  return cipher.update(fromHex(data)).toString("hex");
}

function copy(board, folder) {
  board.FS.mkdirTree("/" + folder);
  for (const entry of readdirSync(join(checkout, folder), { withFileTypes: true })) {
    const path = folder + "/" + entry.name;
    if (entry.isDirectory()) copy(board, path);
    else if (entry.name.endsWith(".py")) board.FS.writeFile("/" + path, readFileSync(join(checkout, path)));
  }
}

async function main() {
  const stdout = (line) => console.log(line);
  const board = await loadMicroPython({ heapsize: HEAP_BYTES, linebuffer: true, stdout });
  const sha1 = (data) => createHash("sha1").update(fromHex(data)).digest("hex");
  board.registerJsModule("node_crypto", { sha1, aes });
  board.FS.writeFile("/hashlib.py", HASHLIB);
  board.FS.writeFile("/cryptolib.py", CRYPTOLIB);
  for (const folder of ["protocols", "tests/device"]) copy(board, folder);
  board.runPython(`
import sys
sys.path.append("/")
from tests.device import runner
failures = runner.main(${JSON.stringify(name)})
`);
  return board.globals.get("failures") ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error.message); // the stack would show the whole build, in one line
  process.exitCode = 1;
}
