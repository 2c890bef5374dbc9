/**
 * How the gradient flows back through one layer, in float64; gatewise.trace.flow has the same
 * definition. With d_k the gradient of gate k before its activation and R what a gradient of h_t
 * brings to c_t by way of psi,
 *
 *     dL/dh_t = dy_t + sum_k W_hk' d_k,t+1
 *     dL/dc_t = R(dy_t)                       read-out: this step's own output
 *             + f_{t+1} * dL/dc_{t+1}         carried: past both squashes
 *             + R(W_hk' d_k,t+1), each k      the way through each gate, and the peepholes
 *
 * Where an edit has put a number, nothing flows to what the cell would have computed.
 */
import { slopeAt } from "./activations";
import { before, type Done, GATES, type Layer, usedGates } from "./layer";
import { throughNorm } from "./norm";
import { recurrent, row } from "./step";

export const PARTS = ["carried", "readOut", "i", "f", "g", "o"] as const;
export type Part = (typeof PARTS)[number];

/** At each step, [T, H]. */
export type Flow = Record<Part | "total" | "carousel", Float64Array> & {
  /** [T, 4H]: of the gates before their activation. */
  gates: Float64Array;
};

/** NaN where the cell computed the number itself; [T, H] each. */
export type Fixed = Partial<Record<"i" | "f" | "g" | "o" | "c", Float32Array>>;

function transposed(w: Float32Array, d: Float64Array, columns: number, from = 0, to = d.length) {
  const out = new Float64Array(columns);
  for (let r = from; r < to; r++) {
    const v = d[r];
    if (v === 0) continue;
    for (let k = 0; k < columns; k++) out[k] += v * w[r * columns + k];
  }
  return out;
}

/**
 * The flow of L = sum dy * y, over the steps `latest` and before, in the order of reading, at most
 * `most` of them.
 */
export function flow(
  layer: Layer,
  done: Done,
  dy: Float64Array, // [T, P]
  latest: number,
  most = Infinity,
  fixed: Fixed = {},
): Flow {
  const { H, P, cell } = layer;
  const { T } = done;
  const out = { gates: new Float64Array(T * 4 * H) } as Flow;
  for (const name of [...PARTS, "total", "carousel"] as const) out[name] = new Float64Array(T * H);
  const gatesUsed = usedGates(cell);
  const used = (k: number) => gatesUsed[Math.floor(k / H)];
  const isFixed = (name: keyof Fixed, at: number) => !Number.isNaN(fixed[name]?.[at] ?? NaN);
  let next = -1;
  for (let t = latest, n = 0; t >= 0 && n < most; next = t, t = before(layer, t, T), n++) {
    const last = before(layer, t, T);
    const read = (v: Float64Array): Float64Array => {
      const wide = layer.wHr ? transposed(layer.wHr, v, H) : v;
      const through = wide.map(
        (x, u) => x * done.o[t * H + u] * slopeAt(cell.cell_output, done.psi[t * H + u]),
      );
      if (!cell.layer_norm) return through;
      return throughNorm(through, Float64Array.from(row(done.c, t, H)), layer.normC!);
    };
    const dh = dy.slice(t * P, (t + 1) * P);
    const total = read(dh);
    out.readOut.set(total, t * H);
    out.carousel.set(total, t * H);
    if (next >= 0) {
      const d = out.gates.slice(next * 4 * H, (next + 1) * 4 * H);
      const products = cell.layer_norm ? recurrent(layer, done, next) : null;
      GATES.forEach((gate, k) => {
        let own: Float64Array = d;
        let from = k * H;
        let to = from + H;
        if (products) {
          const alone = d.map((v, r) => (r >= from && r < to ? v : 0));
          own = throughNorm(alone, products, layer.normHh!, used);
          [from, to] = [0, 4 * H];
        }
        const back = transposed(layer.wHh, own, P, from, to);
        back.forEach((v, p) => (dh[p] += v));
        out[gate].set(read(back), t * H);
      });
    }
    const wide = layer.wHr ? transposed(layer.wHr, dh, H) : dh;
    for (let u = 0; u < H; u++) {
      const at = t * H + u;
      const dO = isFixed("o", at)
        ? 0
        : wide[u] * done.psi[at] * slopeAt(cell.output_gate, done.o[at]);
      out.gates[t * 4 * H + 3 * H + u] = dO;
      if (cell.peephole && layer.peephole) {
        const p = layer.peephole;
        out.o[at] += p[2 * H + u] * dO;
        if (next >= 0) {
          out.i[at] += p[u] * out.gates[next * 4 * H + u];
          out.f[at] += p[H + u] * out.gates[next * 4 * H + H + u];
        }
      }
      if (next >= 0 && !isFixed("c", next * H + u)) {
        const f = done.f[next * H + u];
        out.carried[at] = f * out.total[next * H + u];
        out.carousel[at] += f * out.carousel[next * H + u];
      }
      let dc = 0;
      for (const part of PARTS) dc += out[part][at];
      out.total[at] = dc;
      if (isFixed("c", at)) continue;
      const cPrev = last >= 0 ? done.c[last * H + u] : 0;
      const viaI = isFixed("i", at) ? 0 : done.g[at];
      const viaF = isFixed("f", at) ? 0 : cPrev;
      const slot = t * 4 * H + u;
      const computed = cell.coupled ? coupledGate(done, fixed, at) : done.i[at];
      if (cell.coupled) {
        out.gates[slot] = dc * (viaI - viaF) * slopeAt(cell.input_gate, computed);
      } else {
        out.gates[slot] = dc * viaI * slopeAt(cell.input_gate, done.i[at]);
        out.gates[slot + H] = dc * viaF * slopeAt(cell.forget_gate, done.f[at]);
      }
      if (!isFixed("g", at)) {
        out.gates[slot + 2 * H] = dc * done.i[at] * slopeAt(cell.candidate, done.g[at]);
      }
    }
  }
  return out;
}

/** The input gate as a coupled cell computed it; an edit of i leaves f = 1 - i alone. */
function coupledGate(done: Done, fixed: Fixed, at: number): number {
  const edited = !Number.isNaN(fixed.i?.[at] ?? NaN);
  return edited ? 1 - done.f[at] : done.i[at];
}

/** dL/dx of a layer, [T, inputs], of its gates' gradients. */
export function toInput(layer: Layer, done: Done, gates: Float64Array): Float64Array {
  const { H, inputs, cell } = layer;
  const out = new Float64Array(done.T * inputs);
  const gatesUsed = usedGates(cell);
  const used = (k: number) => gatesUsed[Math.floor(k / H)];
  for (let t = 0; t < done.T; t++) {
    let d: Float64Array = gates.slice(t * 4 * H, (t + 1) * 4 * H);
    if (cell.layer_norm) d = throughNorm(d, fromInput(layer, done, t), layer.normIh!, used);
    out.set(transposed(layer.wIh, d, inputs), t * inputs);
  }
  return out;
}

function fromInput(layer: Layer, done: Done, t: number): Float64Array {
  const x = row(done.x, t, layer.inputs);
  return Float64Array.from({ length: 4 * layer.H }, (_, r) => {
    let sum = 0;
    for (let k = 0; k < x.length; k++) sum += layer.wIh[r * x.length + k] * x[k];
    return sum;
  });
}

/** Norms over the units at each of the steps. */
export function norms(a: Float64Array, H: number, steps: number[]): number[] {
  return steps.map((t) => Math.hypot(...a.subarray(t * H, (t + 1) * H)));
}
