/** One step of a layer, worked out in float64: what each gate was given, and from where. */
import { before, type Done, type Layer, usedGates } from "./layer";
import { normalised } from "./norm";

export interface Parts {
  /** [4H] each: the share of the input, of the step before, of the biases, of the peepholes. */
  fromX: Float64Array;
  fromH: Float64Array;
  bias: Float64Array;
  fromC: Float64Array;
  /** Their sum: what the activations are given. */
  pre: Float64Array;
}

function product(w: Float32Array, v: Float32Array, rows: number): Float64Array {
  const n = v.length;
  const out = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += w[r * n + k] * v[k];
    out[r] = sum;
  }
  return out;
}

export function row(a: Float32Array, t: number, n: number): Float32Array {
  return t < 0 ? new Float32Array(n) : a.subarray(t * n, (t + 1) * n);
}

/** W_hh h_{t-1}, as it is before a norm. */
export function recurrent(layer: Layer, done: Done, t: number): Float64Array {
  const last = before(layer, t, done.T);
  return product(layer.wHh, row(done.y, last, layer.P), 4 * layer.H);
}

export function gateParts(layer: Layer, done: Done, t: number): Parts {
  const { H, cell } = layer;
  const last = before(layer, t, done.T);
  let fromX = product(layer.wIh, row(done.x, t, layer.inputs), 4 * H);
  let fromH = recurrent(layer, done, t);
  if (cell.layer_norm) {
    const gates = usedGates(cell);
    const used = (k: number) => gates[Math.floor(k / H)];
    fromX = normalised(fromX, layer.normIh!, used);
    fromH = normalised(fromH, layer.normHh!, used);
  }
  const fromC = new Float64Array(4 * H);
  if (cell.peephole && layer.peephole) {
    const p = layer.peephole;
    const cPrev = row(done.c, last, H);
    const c = row(done.c, t, H);
    for (let u = 0; u < H; u++) {
      fromC[u] = p[u] * cPrev[u];
      fromC[H + u] = p[H + u] * cPrev[u];
      fromC[3 * H + u] = p[2 * H + u] * c[u];
    }
  }
  const pre = fromX.map((v, k) => v + fromH[k] + layer.bias[k] + fromC[k]);
  return { fromX, fromH, bias: layer.bias, fromC, pre };
}

/** What psi is given at step t: c_t, or its norm. */
export function seenByOutput(layer: Layer, done: Done, t: number): Float64Array {
  const c = Float64Array.from(row(done.c, t, layer.H));
  return layer.cell.layer_norm ? normalised(c, layer.normC!) : c;
}
