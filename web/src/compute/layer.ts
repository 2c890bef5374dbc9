/** One layer in one direction as plain numbers: its weights by name, what it did, what it saw. */
import type { Cell, Network, Weights } from "../kernel/types";

export interface Layer {
  /** Index in [L * D]. */
  index: number;
  inputs: number;
  H: number;
  /** What leaves at each step: proj_size or H. */
  P: number;
  cell: Cell;
  reverse: boolean;
  wIh: Float32Array; // [4H, inputs]
  wHh: Float32Array; // [4H, P]
  bias: Float64Array; // [4H], both added
  wHr?: Float32Array; // [P, H]
  peephole?: Float32Array; // [3, H]: seen by i, f and o
  normIh?: Float32Array; // [2, 4H]: gain, shift
  normHh?: Float32Array;
  normC?: Float32Array; // [2, H]
}

/** What a layer did with one series. Row-major, steps first, in the order of time. */
export interface Done {
  T: number;
  x: Float32Array; // [T, inputs]
  i: Float32Array; // [T, H] each
  f: Float32Array;
  g: Float32Array;
  o: Float32Array;
  c: Float32Array;
  /** psi(c), of the cell states as psi sees them. */
  psi: Float32Array;
  /** o * psi(c): what leaves each unit, before a projection. */
  h: Float32Array;
  /** What leaves the layer, [T, P]; h itself where there is no projection. */
  y: Float32Array;
}

export const GATES = ["i", "f", "g", "o"] as const;
export type Gate = (typeof GATES)[number];

export function layerOf(network: Network, weights: Weights, index: number): Layer {
  const level = Math.floor(index / network.directions);
  const reverse = index % network.directions === 1;
  const ending = `_l${level}${reverse ? "_reverse" : ""}`;
  const own = (name: string): Float32Array | undefined => weights[name + ending];
  const wIh = own("weight_ih")!;
  const H = network.hidden;
  const P = network.projection || H;
  const bias = new Float64Array(4 * H);
  for (const b of [own("bias_ih"), own("bias_hh")]) b?.forEach((v, k) => (bias[k] += v));
  return {
    index,
    inputs: wIh.length / (4 * H),
    H,
    P,
    cell: network.cell,
    reverse,
    wIh,
    wHh: own("weight_hh")!,
    bias,
    wHr: own("weight_hr"),
    peephole: own("weight_peephole"),
    normIh: own("norm_ih"),
    normHh: own("norm_hh"),
    normC: own("norm_c"),
  };
}

/** Step before t in the order in which the layer reads; -1 at its beginning. */
export function before(layer: Layer, t: number, T: number): number {
  if (!layer.reverse) return t - 1;
  return t + 1 < T ? t + 1 : -1;
}

export function usedGates(cell: Cell): [boolean, boolean, boolean, boolean] {
  const there = (site: "input_gate" | "forget_gate" | "candidate" | "output_gate") =>
    cell[site].function !== "one";
  return [
    there("input_gate"),
    there("forget_gate") && !cell.coupled,
    there("candidate"),
    there("output_gate"),
  ];
}
