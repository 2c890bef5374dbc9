/**
 * What the page knows of a network. Sizes, as everywhere in gatewise: T steps, B rows, I inputs,
 * H units, L layers, D directions, P = projection or H. Arrays are float32, row-major.
 * Gates are stacked in the order i, f, g, o.
 */

export const SITES = [
  "input_gate",
  "forget_gate",
  "candidate",
  "output_gate",
  "cell_output",
] as const;
export type Site = (typeof SITES)[number];

/** y = scale * function(slope * x) + shift, of a function of gatewise.cell's table. */
export interface Activation {
  function: string;
  scale: number;
  slope: number;
  shift: number;
}

export interface Cell extends Record<Site, Activation> {
  coupled: boolean;
  peephole: boolean;
  layer_norm: boolean;
}

export interface Network {
  layers: number;
  directions: 1 | 2;
  inputs: number;
  hidden: number;
  /** proj_size; 0: none. */
  projection: number;
  cell: Cell;
}

/** By the names of gatewise.nn.LSTM's state_dict: weight_ih_l0, bias_hh_l1_reverse, ... */
export type Weights = Record<string, Float32Array>;

/**
 * Where an array holds a number it stands in place of what the cell has computed, and the step
 * goes on from there; NaN leaves the cell alone. [L * D, T, B, H] each.
 */
export type Edits = Partial<
  Record<
    | "input_gate"
    | "forget_gate"
    | "candidate"
    | "output_gate"
    | "cell_state"
    | "cell_output",
    Float32Array
  >
>;

/** [L * D, T, B, H] each; gates after their activation. */
export interface Activity {
  input_gate: Float32Array;
  forget_gate: Float32Array;
  candidate: Float32Array;
  output_gate: Float32Array;
  cell_state: Float32Array;
}

export interface RunOptions {
  h0?: Float32Array; // [L * D, B, P]
  c0?: Float32Array; // [L * D, B, H]
  edits?: Edits;
  /** Keep a tape, for activity() and backward(). Default true. */
  keep?: boolean;
}

export interface Gradients {
  dx: Float32Array; // [T, B, I]
  dh0: Float32Array;
  dc0: Float32Array;
  weights: Weights;
  /** [L * D, T, B, 4, H], before the gates' activation; if asked for. */
  gates?: Float32Array;
}

export interface Run {
  readonly T: number;
  readonly B: number;
  readonly y: Float32Array; // [T, B, D * P]
  readonly h_n: Float32Array;
  readonly c_n: Float32Array;
  activity(): Activity;
  /** dy: [T, B, D * P]. Not after a run with edits. */
  backward(
    dy: Float32Array,
    options?: { dh_n?: Float32Array; dc_n?: Float32Array; gates?: boolean },
  ): Gradients;
  /** Gives its memory in the module back. */
  dispose(): void;
}

export interface Model {
  readonly network: Network;
  /** Packs other weights of the same network. */
  load(weights: Weights): void;
  run(x: Float32Array, T: number, B: number, options?: RunOptions): Run;
  dispose(): void;
}

/** The core in WebAssembly. Synchronous; lives in the worker. */
export interface Kernel {
  /** Throws where the core refuses the sizes or the weights do not fit. */
  model(network: Network, weights: Weights): Model;
  /** The activation of each x, as the kernels compute it. */
  activate(activation: Activation, x: Float32Array): Float32Array;
}
// kernel.ts exports: createKernel(module: BufferSource): Promise<Kernel>
