"""The explorer's WebAssembly module as a page calls it: NumPy in, NumPy out."""

import abc
import struct
from pathlib import Path

import numpy as np
import wasmtime

from gatewise.cell import SITES, Activation

MODULE = Path(__file__).parents[2] / "src" / "gatewise" / "explorer" / "static" / "gatewise.wasm"
OK, NO_MEMORY, BAD_SIZE, BAD_ARGUMENT = 0, 1, 3, 4
ACTIVITY = ("input_gate", "forget_gate", "candidate", "output_gate", "cell_state")
EDITED = (*ACTIVITY, "cell_output")
PARAMETERS = (
    "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "peephole", "norm_ih", "norm_hh", "norm_c"
)  # fmt: skip
GRADIENTS = tuple(name for name in PARAMETERS if name != "b_hh")
KEEP, H0, C0 = 1, 2, 4
X, INITIAL_H, INITIAL_C, Y, LAST_H, LAST_C = range(6)

_compiled = {}


class RefusedError(Exception):
    """A status other than OK."""

    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


def check(status):
    if status != OK:
        raise RefusedError(status)


class Module(abc.ABC):
    """One instance, whatever runs it: subclasses say how it is called, and reach its memory."""

    def __init__(self):
        self.call("_initialize")
        self.functions = []
        while address := self.call("function_name", len(self.functions)):
            self.functions.append(self._text(address))

    @abc.abstractmethod
    def invoke(self, name, arguments):
        """Call an export with numbers of 32 bits, signed ones; what it gives, None if nothing."""

    @abc.abstractmethod
    def size(self):
        """Bytes of its memory as it is now."""

    @abc.abstractmethod
    def get(self, address, count):
        """Bytes of its memory."""

    @abc.abstractmethod
    def put(self, address, raw):
        """Write bytes to its memory."""

    def call(self, name, *arguments):
        # An i32 is signed where it is passed, an address is not.
        result = self.invoke(name, [a - (1 << 32) if a >= 1 << 31 else a for a in arguments])
        return None if result is None else result % (1 << 32)

    def allocate(self, count):
        address = self.call("allocate", count)
        if not address:
            raise RefusedError(NO_MEMORY)
        return address

    def write(self, data):
        """A copy in the module's memory; its address."""
        raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
        address = self.allocate(max(len(raw), 8))
        self.put(address, raw)
        return address

    def words(self, *values):
        return self.write(struct.pack(f"<{len(values)}I", *values))

    def word(self, address):
        return struct.unpack("<I", self.get(address, 4))[0]

    def read(self, address, shape):
        size = 4 * int(np.prod(shape))
        return np.frombuffer(self.get(address, size), np.float32).reshape(shape)

    def fill(self, address, values):
        self.put(address, np.ascontiguousarray(values, np.float32).tobytes())

    def release(self, *addresses):
        for address in addresses:
            self.call("release", address)

    def site(self, site):
        a = site if isinstance(site, Activation) else Activation(site)
        index = self.functions.index(a.name)
        return struct.pack("<4d", index, a.scale, a.slope, a.shift)

    def activate(self, site, x):
        at = [self.write(self.site(site)), self.write(x), self.allocate(4 * x.size + 4)]
        check(self.call("activate", at[0], x.size, *at[1:]))
        y = self.read(at[2], x.shape)
        self.release(*at)
        return y

    def config(self, cell, L=1, D=1, I=1, H=1, projection=0, sites=None):
        sizes = (L, D, I, H, projection, cell.peephole, cell.coupled, cell.layer_norm)
        sites = sites or b"".join(self.site(getattr(cell, site)) for site in SITES)
        return struct.pack("<8i", *map(int, sizes)) + sites

    def create(self, config):
        at, out = self.write(config), self.words(0)
        status = self.call("model_create", at, out)
        model = self.word(out)
        self.release(at, out)
        check(status)
        return model

    def load(self, model, parameters):
        """parameters: of each layer and direction arrays by name; what is missing is null."""
        at = [[self.write(own[n]) if n in own else 0 for n in PARAMETERS] for own in parameters]
        flat = [address for own in at for address in own]
        table = self.words(*flat)
        status = self.call("model_load", model, table)
        self.release(table, *flat)
        check(status)

    def run(self, model, T, B, options=KEEP):
        out = self.words(0)
        status = self.call("run_create", model, T, B, options, out)
        run = self.word(out)
        self.release(out)
        check(status)
        return run

    def _text(self, address):
        text = self.get(address, 64)
        return text[: text.index(0)].decode()


class Wasmtime(Module):
    """Through wasmtime. `memory_limit`: bytes that it may have, so that it runs out of memory."""

    def __init__(self, memory_limit=None):
        if not _compiled:
            engine = wasmtime.Engine()
            _compiled[MODULE] = engine, wasmtime.Module(engine, MODULE.read_bytes())
        engine, module = _compiled[MODULE]
        self.store = wasmtime.Store(engine)
        if memory_limit:
            self.store.set_limits(memory_size=memory_limit)
        # No imports: a page gives the module nothing.
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.memory = self.exports["memory"]
        super().__init__()

    def invoke(self, name, arguments):
        return self.exports[name](self.store, *arguments)

    def size(self):
        return self.memory.data_len(self.store)

    def get(self, address, count):
        return bytes(self.memory.read(self.store, address, address + count))

    def put(self, address, raw):
        self.memory.write(self.store, raw, address)


class InPage(Module):
    """The module that a page of the explorer carries, run by the browser that shows the page."""

    def __init__(self, page):
        self.page = page
        page.evaluate(
            """async () => {
                const text = atob(document.getElementById("gatewise-module").textContent.trim());
                const packed = new Blob([Uint8Array.from(text, (c) => c.charCodeAt(0))]);
                const unpacked = packed.stream().pipeThrough(new DecompressionStream("gzip"));
                const module = await new Response(unpacked).arrayBuffer();
                window.core = (await WebAssembly.instantiate(module, {})).instance.exports;
                window.bytes = (at, n) => new Uint8Array(core.memory.buffer, at, n);
            }"""
        )
        super().__init__()

    def invoke(self, name, arguments):
        return self.page.evaluate("([name, given]) => core[name](...given)", [name, arguments])

    def size(self):
        return self.page.evaluate("core.memory.buffer.byteLength")

    def get(self, address, count):
        text = self.page.evaluate(
            "([at, n]) => Array.from(bytes(at, n), (b) => String.fromCharCode(b)).join('')",
            [address, count],
        )
        return text.encode("latin-1")

    def put(self, address, raw):
        self.page.evaluate(
            "([at, text]) => bytes(at, text.length).set("
            "Uint8Array.from(text, (c) => c.charCodeAt(0)))",
            [address, raw.decode("latin-1")],
        )


class Network:
    """One network with its weights, and runs of it; frees all that it has made."""

    def __init__(self, module, setup, parameters):
        self.module, self.setup = module, setup
        s = setup
        self.count, self.P = s.layers * s.directions, s.proj or s.H
        config = module.config(s.cell, s.layers, s.directions, s.I, s.H, s.proj)
        self.model = module.create(config)
        self.parameters = parameters
        try:
            module.load(self.model, parameters)
        except RefusedError:
            self.free()
            raise

    def free(self):
        self.module.call("model_free", self.model)

    def forward(self, x, h0=None, c0=None, edits=None, keep=True):
        """Return a run, and y, h_n, c_n of it."""
        m, (T, B, _) = self.module, x.shape
        options = KEEP * keep | H0 * (h0 is not None) | C0 * (c0 is not None)
        run = m.run(self.model, T, B, options)
        for which, array in ((X, x), (INITIAL_H, h0), (INITIAL_C, c0)):
            if array is not None:
                m.fill(m.call("run_array", run, which), array)
        given = [m.write(edits[site]) if edits and site in edits else 0 for site in EDITED]
        table = m.words(*given) if edits else 0
        status = m.call("run_forward", run, table)
        m.release(table, *given)
        if status != OK:
            m.call("run_free", run)
            raise RefusedError(status)
        shapes = {
            "y": (Y, (T, B, self.setup.directions * self.P)),
            "h_n": (LAST_H, (self.count, B, self.P)),
            "c_n": (LAST_C, (self.count, B, self.setup.H)),
        }
        return run, {n: m.read(m.call("run_array", run, k), s) for n, (k, s) in shapes.items()}

    def activity(self, run, T, B):
        m, shape = self.module, (self.count, T, B, self.setup.H)
        rooms = [m.allocate(4 * int(np.prod(shape)) + 4) for _ in ACTIVITY]
        table = m.words(*rooms)
        status = m.call("run_read", run, table)
        found = {n: m.read(at, shape) for n, at in zip(ACTIVITY, rooms, strict=True)}
        m.release(table, *rooms)
        check(status)
        return found

    def backward(self, run, T, B, dy, dh_n=None, dc_n=None):
        m, s = self.module, self.setup
        shapes = {
            "dx": (T, B, s.I),
            "dh0": (self.count, B, self.P),
            "dc0": (self.count, B, s.H),
            "gates": (self.count, T, B, 4, s.H),
        }
        for k, own in enumerate(self.parameters):
            shapes |= {f"d{n}_{k}": own[n].shape for n in GRADIENTS if n in own}
        rooms = {n: m.allocate(4 * int(np.prod(shape)) + 4) for n, shape in shapes.items()}
        given = [0 if a is None else m.write(a) for a in (dy, dh_n, dc_n)]
        wanted = [rooms.get(f"d{n}_{k}", 0) for k in range(self.count) for n in GRADIENTS]
        table = m.words(*wanted)
        states = (rooms[n] for n in ("dx", "dh0", "dc0", "gates"))
        call = m.words(*given, *states, table)
        status = m.call("run_backward", run, call)
        found = {n: m.read(at, shapes[n]) for n, at in rooms.items()}
        m.release(call, table, *given, *rooms.values())
        check(status)
        return found
