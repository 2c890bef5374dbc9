/**
 * The module's functions and its memory. Whatever is written there is written through a view made
 * for that moment: when the memory grows, views of before are empty.
 */

export interface Exports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(bytes: number): number;
  release(address: number): void;
  function_name(index: number): number;
  activate(site: number, n: number, x: number, y: number): number;
  model_create(config: number, model: number): number;
  model_load(model: number, parameters: number): number;
  model_free(model: number): void;
  run_create(model: number, T: number, B: number, options: number, run: number): number;
  run_array(run: number, which: number): number;
  run_forward(run: number, edits: number): number;
  run_read(run: number, activity: number): number;
  run_backward(run: number, wanted: number): number;
  run_free(run: number): void;
}

/** Statuses of native/wasm/binding.cc, other than 0. */
const NO_MEMORY = 1;
const BAD_SIZE = 3;

export function check(status: number, what: string): void {
  if (status === 0) return;
  if (status === NO_MEMORY) throw new RangeError(`${what}: there is not enough memory.`);
  if (status === BAD_SIZE) throw new RangeError(`${what}: a size is out of range or too large.`);
  throw new Error(`${what}: the core refused an argument (status ${status}).`);
}

/** A size that a 32-bit number holds. */
export function size(value: number, least: number, what: string): number {
  if (!Number.isInteger(value) || value < least || value > 0x7fffffff) {
    throw new RangeError(`${what} is ${value}: expected a whole number from ${least} on.`);
  }
  return value;
}

export function expectLength(array: Float32Array, length: number, what: string): Float32Array {
  if (!(array instanceof Float32Array) || array.length !== length) {
    throw new RangeError(
      `${what}: expected a Float32Array of ${length} numbers, got ${array?.length}.`,
    );
  }
  return array;
}

export class Heap {
  readonly exports: Exports;

  constructor(exports: Exports) {
    this.exports = exports;
  }

  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.exports.memory.buffer, address >>> 0, length);
  }

  word(address: number): number {
    return new Uint32Array(this.exports.memory.buffer, address >>> 0, 1)[0]!;
  }

  text(address: number): string {
    const bytes = new Uint8Array(this.exports.memory.buffer, address >>> 0);
    return String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0)));
  }

  /** Calls `body` with scratch memory that is given back after it, whatever happens. */
  borrow<T>(body: (scratch: Scratch) => T): T {
    const scratch = new Scratch(this);
    try {
      return body(scratch);
    } finally {
      scratch.release();
    }
  }
}

/** Pieces of the module's memory for one call. */
export class Scratch {
  private readonly heap: Heap;
  private readonly taken: number[] = [];

  constructor(heap: Heap) {
    this.heap = heap;
  }

  room(bytes: number): number {
    // An address is never 0, and a page cannot have more.
    const address = bytes < 2 ** 32 ? this.heap.exports.allocate(Math.max(bytes, 8)) >>> 0 : 0;
    if (!address) throw new RangeError(`There is not enough memory for ${bytes} bytes more.`);
    this.taken.push(address);
    return address;
  }

  floats(length: number): number {
    return this.room(4 * length);
  }

  copyOf(array: Float32Array): number {
    const address = this.floats(array.length);
    this.heap.floats(address, array.length).set(array);
    return address;
  }

  /** Words as structs of pointers have them. */
  words(values: number[]): number {
    const address = this.room(4 * values.length);
    new Uint32Array(this.heap.exports.memory.buffer, address, values.length).set(values);
    return address;
  }

  release(): void {
    for (const address of this.taken.splice(0)) this.heap.exports.release(address);
  }
}
