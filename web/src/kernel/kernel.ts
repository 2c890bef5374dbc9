/** The core in WebAssembly as `types.ts` has it; see native/wasm/binding.cc. */
import { check, expectLength, Heap, size, type Exports, type Scratch } from "./heap.ts";
import { outputSize, parametersOf, type Parameter } from "./parameters.ts";
import {
  SITES,
  type Activation,
  type Activity,
  type Edits,
  type Gradients,
  type Kernel,
  type Model,
  type Network,
  type Run,
  type RunOptions,
  type Weights,
} from "./types.ts";

/** In the order of `gatewise::Activity` and, up to its end, of `gatewise::Edits`. */
const ACTIVITY = [
  "input_gate",
  "forget_gate",
  "candidate",
  "output_gate",
  "cell_state",
] as const;
const EDITED = [...ACTIVITY, "cell_output"] as const;
const GATES = ACTIVITY.slice(0, 4);

/** Options and Array of binding.cc. */
const KEEP = 1;
const H0 = 2;
const C0 = 4;
const ARRAYS = { x: 0, h0: 1, c0: 2, y: 3, h_n: 4, c_n: 5 } as const;

export async function createKernel(module: BufferSource): Promise<Kernel> {
  const { instance } = await WebAssembly.instantiate(module, {});
  const exports = instance.exports as unknown as Exports;
  exports._initialize();
  return new WasmKernel(new Heap(exports));
}

class WasmKernel implements Kernel {
  private readonly heap: Heap;
  private readonly functions: string[] = [];

  constructor(heap: Heap) {
    this.heap = heap;
    for (let k = 0, at; (at = heap.exports.function_name(k)); k++) {
      this.functions.push(heap.text(at));
    }
  }

  model(network: Network, weights: Weights): Model {
    const model = new WasmModel(this.heap, network, this.create(network));
    try {
      model.load(weights);
    } catch (error) {
      model.dispose();
      throw error;
    }
    return model;
  }

  activate(activation: Activation, x: Float32Array): Float32Array {
    return this.heap.borrow((scratch) => {
      const site = scratch.room(32);
      this.writeSites(site, [activation]);
      const [from, to] = [scratch.copyOf(x), scratch.floats(x.length)];
      check(this.heap.exports.activate(site, x.length, from, to), "activate");
      return this.heap.floats(to, x.length).slice();
    });
  }

  /** A model without weights. */
  private create(network: Network): number {
    const { cell } = network;
    const sizes = [
      size(network.layers, 1, "layers"),
      size(network.directions, 1, "directions"),
      size(network.inputs, 0, "inputs"),
      size(network.hidden, 1, "hidden"),
      size(network.projection, 0, "projection"),
      ...[cell.peephole, cell.coupled, cell.layer_norm].map(Number),
    ];
    return this.heap.borrow((scratch) => {
      const config = scratch.room(4 * sizes.length + 32 * SITES.length);
      const model = scratch.room(4);
      const { buffer } = this.heap.exports.memory;
      new Int32Array(buffer, config, sizes.length).set(sizes);
      this.writeSites(config + 4 * sizes.length, SITES.map((site) => cell[site]));
      check(this.heap.exports.model_create(config, model), "model");
      return this.heap.word(model);
    });
  }

  private writeSites(address: number, sites: Activation[]): void {
    const values = sites.flatMap((site) => {
      const index = this.functions.indexOf(site.function);
      if (index < 0) {
        throw new RangeError(
          `There is no function ${site.function}: expected one of ${this.functions.join(", ")}.`,
        );
      }
      for (const [name, value] of Object.entries({ scale: site.scale, slope: site.slope })) {
        if (!Number.isFinite(value) || value === 0) {
          throw new RangeError(`${name} is ${value}: expected a finite number other than 0.`);
        }
      }
      if (!Number.isFinite(site.shift)) {
        throw new RangeError(`shift is ${site.shift}: expected a finite number.`);
      }
      return [index, site.scale, site.slope, site.shift];
    });
    new Float64Array(this.heap.exports.memory.buffer, address, values.length).set(values);
  }
}

class WasmModel implements Model {
  readonly network: Network;
  readonly parameters: (Parameter | null)[][];
  private readonly heap: Heap;
  private handle: number;
  private loaded: Set<string> = new Set();

  constructor(heap: Heap, network: Network, handle: number) {
    this.heap = heap;
    this.network = network;
    this.handle = handle;
    this.parameters = parametersOf(network);
  }

  load(weights: Weights): void {
    const handle = this.alive();
    const known = new Set(this.parameters.flat().map((p) => p?.name));
    for (const name of Object.keys(weights)) {
      if (!known.has(name)) throw new Error(`The network has no parameter ${name}.`);
    }
    for (const [, , b_ih, b_hh] of this.parameters) {
      if (!weights[b_ih!.name] !== !weights[b_hh!.name]) {
        throw new Error(`The parameter ${b_ih!.name} or ${b_hh!.name} is missing.`);
      }
    }
    this.heap.borrow((scratch) => {
      const words = this.parameters.flat().map((p) => {
        if (!p) return 0;
        const array = weights[p.name];
        if (array) return scratch.copyOf(expectLength(array, p.length, p.name));
        if (p.optional) return 0;
        throw new Error(`The parameter ${p.name} is missing.`);
      });
      check(this.heap.exports.model_load(handle, scratch.words(words)), "load");
    });
    this.loaded = new Set(Object.keys(weights));
  }

  run(x: Float32Array, T: number, B: number, options: RunOptions = {}): Run {
    const handle = this.alive();
    size(T, 0, "T");
    size(B, 0, "B");
    return new WasmRun(this.heap, handle, this.network, this.parametersLoaded(), x, T, B, options);
  }

  dispose(): void {
    if (this.handle) this.heap.exports.model_free(this.handle);
    this.handle = 0;
  }

  private parametersLoaded(): (Parameter | null)[][] {
    return this.parameters.map((own) => own.map((p) => (p && this.loaded.has(p.name) ? p : null)));
  }

  private alive(): number {
    if (!this.handle) throw new Error("The model has been disposed of.");
    return this.handle;
  }
}

class WasmRun implements Run {
  readonly T: number;
  readonly B: number;
  readonly y: Float32Array;
  readonly h_n: Float32Array;
  readonly c_n: Float32Array;
  private readonly heap: Heap;
  private readonly network: Network;
  private readonly parameters: (Parameter | null)[][];
  private readonly keep: boolean;
  private readonly edited: boolean;
  /** Of the gates, for activity(): the tape has what the cell computed itself. */
  private readonly edits: Edits;
  private handle: number;

  constructor(
    heap: Heap,
    model: number,
    network: Network,
    parameters: (Parameter | null)[][],
    x: Float32Array,
    T: number,
    B: number,
    options: RunOptions,
  ) {
    this.heap = heap;
    this.network = network;
    this.parameters = parameters;
    this.T = T;
    this.B = B;
    this.keep = options.keep ?? true;
    const sizes = this.sizes();
    const { h0, c0, edits = {} } = options;
    expectLength(x, sizes.x, "x");
    if (h0) expectLength(h0, sizes.h, "h0");
    if (c0) expectLength(c0, sizes.c, "c0");
    for (const [site, edit] of Object.entries(edits)) {
      if (!EDITED.some((name) => name === site)) throw new Error(`There is no site ${site}.`);
      if (edit) expectLength(edit, sizes.activity, `edits.${site}`);
    }
    this.handle = heap.borrow((scratch) => {
      const run = scratch.room(4);
      const flags = (this.keep ? KEEP : 0) | (h0 ? H0 : 0) | (c0 ? C0 : 0);
      check(heap.exports.run_create(model, T, B, flags, run), `A run of T ${T}, B ${B}`);
      return heap.word(run);
    });
    try {
      this.array("x", sizes.x).set(x);
      if (h0) this.array("h0", sizes.h).set(h0);
      if (c0) this.array("c0", sizes.c).set(c0);
      heap.borrow((scratch) => {
        const given = EDITED.map((site) => edits[site]);
        const words = given.map((edit) => (edit ? scratch.copyOf(edit) : 0));
        const address = given.some(Boolean) ? scratch.words(words) : 0;
        check(heap.exports.run_forward(this.handle, address), "forward");
      });
      this.y = this.array("y", sizes.y).slice();
      this.h_n = this.array("h_n", sizes.h).slice();
      this.c_n = this.array("c_n", sizes.c).slice();
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.edited = Object.values(edits).some(Boolean);
    const own = GATES.map((gate) => [gate, edits[gate]?.slice()] as const);
    this.edits = this.keep ? Object.fromEntries(own.filter(([, edit]) => edit)) : {};
  }

  activity(): Activity {
    const handle = this.recorded();
    const { activity: length } = this.sizes();
    const read = this.heap.borrow((scratch) => {
      const rooms = ACTIVITY.map(() => scratch.floats(length));
      check(this.heap.exports.run_read(handle, scratch.words(rooms)), "activity");
      return rooms.map((room) => this.heap.floats(room, length).slice());
    });
    const found = Object.fromEntries(ACTIVITY.map((name, k) => [name, read[k]!]));
    for (const [gate, edit] of Object.entries(this.edits)) {
      const values = found[gate]!;
      edit.forEach((value, k) => {
        if (!Number.isNaN(value)) values[k] = value;
      });
    }
    return found as unknown as Activity;
  }

  backward(
    dy: Float32Array,
    options: { dh_n?: Float32Array; dc_n?: Float32Array; gates?: boolean } = {},
  ): Gradients {
    const handle = this.recorded();
    if (this.edited) throw new Error("The run has edits: there is no backward of them.");
    const sizes = this.sizes();
    const { dh_n, dc_n } = options;
    expectLength(dy, sizes.y, "dy");
    if (dh_n) expectLength(dh_n, sizes.h, "dh_n");
    if (dc_n) expectLength(dc_n, sizes.c, "dc_n");
    return this.heap.borrow((scratch) => {
      const given = [dy, dh_n, dc_n].map((array) => (array ? scratch.copyOf(array) : 0));
      const [dx, dh0, dc0] = [sizes.x, sizes.h, sizes.c].map((n) => scratch.floats(n));
      const gates = options.gates ? scratch.floats(4 * sizes.activity) : 0;
      const parameters = this.parameters.map((own) => gradientRooms(own, scratch));
      const rooms = scratch.words(parameters.flatMap(({ words }) => words));
      const wanted = scratch.words([...given, dx!, dh0!, dc0!, gates, rooms]);
      check(this.heap.exports.run_backward(handle, wanted), "backward");
      const read = (address: number, n: number) => this.heap.floats(address, n).slice();
      const weights: Weights = {};
      for (const { named } of parameters) {
        for (const [{ name, length }, address] of named) weights[name] = read(address, length);
      }
      return {
        dx: read(dx!, sizes.x),
        dh0: read(dh0!, sizes.h),
        dc0: read(dc0!, sizes.c),
        weights,
        ...(gates ? { gates: read(gates, 4 * sizes.activity) } : {}),
      };
    });
  }

  dispose(): void {
    if (this.handle) this.heap.exports.run_free(this.handle);
    this.handle = 0;
  }

  private sizes() {
    const { layers, directions: D, inputs, hidden: H } = this.network;
    const [rows, P] = [this.T * this.B, outputSize(this.network)];
    const states = layers * D * this.B;
    return {
      x: rows * inputs,
      y: rows * D * P,
      h: states * P,
      c: states * H,
      activity: layers * D * rows * H,
    };
  }

  private array(name: keyof typeof ARRAYS, length: number): Float32Array {
    return this.heap.floats(this.heap.exports.run_array(this.handle, ARRAYS[name]), length);
  }

  private recorded(): number {
    if (!this.handle) throw new Error("The run has been disposed of.");
    if (!this.keep) throw new Error("The run kept no tape: pass keep: true.");
    return this.handle;
  }
}

/** Room for the gradients of one layer and direction, in the order of binding.cc's Gradients. */
function gradientRooms(own: (Parameter | null)[], scratch: Scratch) {
  const named: [Parameter, number][] = [];
  const room = (p: Parameter | null | undefined): number => {
    if (!p) return 0;
    const address = scratch.floats(p.length);
    named.push([p, address]);
    return address;
  };
  const [w_ih, w_hh, b_ih, b_hh, ...others] = own;
  const words = [room(w_ih), room(w_hh), room(b_ih)];
  // The gradient of one bias is that of the other.
  if (b_hh) named.push([b_hh, words[2]!]);
  return { words: [...words, ...others.map(room)], named };
}
