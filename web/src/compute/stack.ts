/** All layers of a network together: what each did, and how a gradient comes down through them. */
import { type Done, type Layer } from "./layer";
import { type Fixed, type Flow, flow, toInput } from "./flow";

export interface Stack {
  layers: Layer[];
  done: Done[];
  directions: number;
  fixed?: Fixed[];
}

export type Source =
  /** h of one unit at one step. */
  | { of: "unit"; unit: number; t: number }
  /** What a linear layer on the last layer's output tells: sum of its rows, at one step. */
  | { of: "readout"; weight: Float32Array; t: number };

const TOO_LONG =
  "The gradient of so many steps in both directions takes too long here. Write the page with fewer " +
  "steps, or use gatewise.trace.gradient_flow.";

/** The flow of L through one layer (index in [L * D]). */
export function flowAt(stack: Stack, index: number, source: Source, most = Infinity): Flow {
  const { layers, done, directions: D } = stack;
  const own = layers[index];
  const { T } = done[0];
  if (source.of === "unit") {
    const dy = new Float64Array(T * own.P);
    // Before a projection there is no h of a unit: its first outputs stand for it.
    dy[source.t * own.P + Math.min(source.unit, own.P - 1)] = 1;
    return flow(own, done[index], dy, source.t, most, stack.fixed?.[index]);
  }
  const P = own.P;
  let dy = new Float64Array(T * D * P);
  const columns = D * P;
  const rows = source.weight.length / columns;
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < columns; k++) dy[source.t * columns + k] += source.weight[r * columns + k];
  }
  const level = Math.floor(index / D);
  for (let l = layers.length / D - 1; ; l--) {
    let below: Float64Array | null = null;
    for (let d = 0; d < D; d++) {
      const k = l * D + d;
      if (l === level && k !== index) continue;
      // What the reverse direction of a layer above has read comes after t, and is on the way, too.
      const top = D === 1 || l === layers.length / D - 1;
      const latest = layers[k].reverse ? 0 : top ? source.t : T - 1;
      if (D === 2 && T > most) throw new Error(TOO_LONG);
      const found = flow(layers[k], done[k], half(dy, T, D, d, P), latest, most, stack.fixed?.[k]);
      if (k === index) return found;
      const dx = toInput(layers[k], done[k], found.gates);
      below = below ? below.map((v, at) => v + dx[at]) : dx;
    }
    dy = below as Float64Array<ArrayBuffer>;
  }
}

function half(dy: Float64Array, T: number, D: number, d: number, P: number): Float64Array {
  if (D === 1) return dy;
  const out = new Float64Array(T * P);
  for (let t = 0; t < T; t++) {
    out.set(dy.subarray((t * D + d) * P, (t * D + d + 1) * P), t * P);
  }
  return out;
}
