/**
 * What a cell state is made of, exactly:
 *
 *     c_t = sum_j [i_j * prod_{k=j+1..t} f_k] * g_j + [prod_k f_k] * c_0
 *
 * An identity, no approximation (see gatewise.trace.attention, which calls the bracket the weight).
 */
import type { Done, Layer } from "./layer";

export interface Held {
  /** By step j, [T]: the bracket, 0 for steps that have not been read at t. */
  weight: Float64Array;
  /** By step j: weight * g_j, the part of c_t that came in at step j. */
  part: Float64Array;
  /** What is left of c_0, as a factor. */
  initial: number;
}

/** What unit u holds at step t of every step before. */
export function held(layer: Layer, done: Done, u: number, t: number): Held {
  const { T } = done;
  const weight = new Float64Array(T);
  const part = new Float64Array(T);
  const back = layer.reverse ? 1 : -1;
  let product = 1;
  for (let j = t; j >= 0 && j < T; j += back) {
    const at = j * layer.H + u;
    weight[j] = done.i[at] * product;
    part[j] = weight[j] * done.g[at];
    product *= done.f[at];
  }
  return { weight, part, initial: product };
}

export interface Triangle {
  /** [rows, columns]: parts, summed over the steps of a column; NaN where nothing is read yet. */
  data: Float32Array;
  rows: number;
  columns: number;
  /** The step t of each row. */
  steps: number[];
}

/** held() for many t, at most `most` of them, with at most as many columns. */
export function triangle(
  layer: Layer,
  done: Done,
  u: number,
  window: [number, number],
  most: number,
): Triangle {
  const [from, to] = window;
  const n = to - from;
  const rows = Math.min(n, most);
  const columns = rows;
  const data = new Float32Array(rows * columns).fill(NaN);
  const steps: number[] = [];
  for (let r = 0; r < rows; r++) {
    const t = from + Math.min(n - 1, Math.floor(((r + 0.5) * n) / rows));
    steps.push(t);
    const { part } = held(layer, done, u, t);
    const [first, last] = layer.reverse ? [t, to - 1] : [from, t];
    for (let j = first; j <= last; j++) {
      const at = r * columns + Math.floor(((j - from) * columns) / n);
      data[at] = (Number.isNaN(data[at]) ? 0 : data[at]) + part[j];
    }
  }
  return { data, rows, columns, steps };
}
