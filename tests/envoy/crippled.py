"""Filters that fail as phiward never should, made with binaryen: phiward itself with other callbacks in front of its
own, and a plugin that meddles with what belongs to phiward."""

import hashlib
import subprocess

from lab.processes import ROOT

TOOLS = ROOT / "lab" / "node_modules" / ".bin"
FEATURES = ["--enable-bulk-memory", "--enable-bulk-memory-opt", "--enable-multivalue", "--enable-mutable-globals",
            "--enable-nontrapping-float-to-int", "--enable-reference-types", "--enable-sign-ext"]

# A request or an answer with at least so many header fields, and an answer with so many bytes of body, is a trap.
FIELDS, BYTES = 60, 60_000

# How `broken` fails to start, by the length of `vm_config.configuration`: in every instance but the first, which is
# Envoy's trial run, or but the first four. Without one it starts.
FAILURES = {"configure, false": 1, "configure, trap": 2, "start, false": 3, "configure anew, false": 4}


def broken(wasm, folder):
    """phiward that fails to start as `FAILURES` says, and traps on what has `FIELDS` or `BYTES`: requests, answers,
    and answers to its own calls."""
    imports, functions = [], []
    for callback, count, place, limit, result in _TRAPS:
        parameters = "(param" + " i32" * count + ")"
        arguments = " ".join(f"(local.get {number})" for number in range(count))
        imports.append(f"""
      (import "phiward" "{callback}" (func ${callback} {parameters} {result}))""")
        functions.append(f"""
      (func (export "{callback}") {parameters} {result}
        (if (i32.ge_u (local.get {place}) (i32.const {limit})) (then (unreachable)))
        (call ${callback} {arguments}))""")
    front, whole = _assembled(folder, "front", "".join([*imports, _START, *functions])), folder / "broken.wasm"
    _run("wasm-merge", front, "front", wasm, "phiward", "--rename-export-conflicts", *FEATURES, "-o", whole)
    return whole


# Callback, how many parameters it has, which of them counts, up to which number, what it gives.
_TRAPS = [
    ("proxy_on_request_headers", 3, 1, FIELDS, "(result i32)"),
    ("proxy_on_response_headers", 3, 1, FIELDS, "(result i32)"),
    ("proxy_on_response_body", 3, 1, BYTES, "(result i32)"),
    ("proxy_on_http_call_response", 5, 2, FIELDS, ""),
]

_START = """
      (import "env" "proxy_set_shared_data"
        (func $set_shared_data (param i32 i32 i32 i32 i32) (result i32)))
      (import "phiward" "proxy_on_memory_allocate" (func $allocate (param i32) (result i32)))
      (import "phiward" "memory" (memory 1))
      (import "phiward" "proxy_on_vm_start" (func $start (param i32 i32) (result i32)))
      (import "phiward" "proxy_on_configure" (func $configure (param i32 i32) (result i32)))
      (global $failure (mut i32) (i32.const 0))

      ;; Whether so many instances of this `vm_id` came before. A key that is there is not written with a stamp that
      ;; it never has.
      (func $later (param $instances i32) (result i32)
        (local $key i32)
        (local $count i32)
        (local.set $key (call $allocate (i32.const 16)))
        (i64.store (local.get $key) (i64.const 0x64656b6e616b))
        (loop $next
          (i64.store offset=8 (local.get $key) (i64.extend_i32_u (local.get $count)))
          (if (call $set_shared_data (local.get $key) (i32.const 16) (local.get $key) (i32.const 16) (i32.const -1))
            (then
              (local.set $count (i32.add (local.get $count) (i32.const 1)))
              (br_if $next (i32.lt_u (local.get $count) (i32.const 100))))))
        (i32.ge_u (local.get $count) (local.get $instances)))

      (func (export "proxy_on_vm_start") (param $context i32) (param $size i32) (result i32)
        (global.set $failure (local.get $size))
        (if (i32.eq (local.get $size) (i32.const 3))
          (then (if (call $later (i32.const 1)) (then (return (i32.const 0))))))
        (call $start (local.get $context) (local.get $size)))

      (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32)
        (if (i32.eq (global.get $failure) (i32.const 1))
          (then (if (call $later (i32.const 1)) (then (return (i32.const 0))))))
        (if (i32.eq (global.get $failure) (i32.const 2))
          (then (if (call $later (i32.const 1)) (then (unreachable)))))
        (if (i32.eq (global.get $failure) (i32.const 4))
          (then (if (call $later (i32.const 4)) (then (return (i32.const 0))))))
        (call $configure (local.get $context) (local.get $size)))"""


def meddling(folder):
    """A plugin that writes garbage under the shared key that is its configuration, again and again, and gives
    every request the permit that phiward gives."""
    return _assembled(folder, "meddling", """
      (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_set_shared_data" (func $set_shared_data (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
      (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 2)
      (data (i32.const 64) "phiward.permit" "permit")
      (data (i32.const 128) "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
      (global $free (mut i32) (i32.const 1024))
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "_initialize"))
      (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
        (global.set $free (i32.add (global.get $free) (local.get $size)))
        (i32.sub (global.get $free) (local.get $size)))
      (func (export "proxy_on_context_create") (param i32 i32))
      (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
      (func $meddle
        (drop (call $set_shared_data (i32.load (i32.const 0)) (i32.load (i32.const 4))
          (i32.const 128) (i32.const 64) (i32.const 0))))
      ;; 7: the configuration. Where it is goes to 0, its length to 4.
      (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32)
        (drop (call $get_buffer (i32.const 7) (i32.const 0) (local.get $size) (i32.const 0) (i32.const 4)))
        (call $meddle)
        (drop (call $tick (i32.const 5)))
        (i32.const 1))
      (func (export "proxy_on_tick") (param i32) (call $meddle))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $set_property (i32.const 64) (i32.const 14) (i32.const 78) (i32.const 6)))
        (i32.const 0))""")


def shared_key(name, *parts):
    """The key of phiward's shared data with this name, of what these parts name (`store::prefix`)."""
    digest = hashlib.sha256()
    for part in ("2", *parts):
        digest.update(len(part).to_bytes(8, "big") + part.encode())
    return f"phiward/{digest.hexdigest()[:32]}/{name}"


def abi(wasm):
    """Host functions that a filter imports, and functions that it exports."""
    data, at, imports, exports = wasm.read_bytes(), 8, [], []
    while at < len(data):
        section = data[at]
        size, at = _number(data, at + 1)
        end, place = at + size, at
        if section in (2, 7):
            count, place = _number(data, place)
        for _ in range(count if section in (2, 7) else 0):
            if section == 2:
                _, place = _name(data, place)
            name, place = _name(data, place)
            kind = data[place]
            _, place = _number(data, place + 1)
            if kind == 0:
                (imports if section == 2 else exports).append(name)
        at = end
    return imports, exports


def _number(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at


def _name(data, at):
    length, at = _number(data, at)
    return data[at:at + length].decode(), at + length


def _assembled(folder, name, text):
    source, made = folder / f"{name}.wat", folder / f"{name}.wasm"
    source.write_text(f"(module{text})\n")
    _run("wasm-as", source, *FEATURES, "-o", made)
    return made


def _run(tool, *arguments):
    done = subprocess.run([TOOLS / tool, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
