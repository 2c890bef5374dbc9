/** Windows on a run, made as small as a screen is. */
import type { Done } from "../compute/layer";
import type { Line, Raster, Variable } from "./protocol";

/** Means over the steps of each column, units in the given order; less another run if there is one. */
export function raster(
  done: Done,
  H: number,
  variable: Variable,
  window: [number, number],
  columns: number,
  order: Uint32Array | null,
  less?: Done,
): Raster {
  const [from, to] = window;
  const n = to - from;
  const width = Math.min(columns, n);
  const data = new Float32Array(H * width);
  const count = new Float32Array(width);
  const rank = new Uint32Array(H);
  for (let r = 0; r < H; r++) rank[order ? order[r] : r] = r;
  const own = done[variable];
  const other = less?.[variable];
  for (let t = from; t < to; t++) {
    const column = Math.floor(((t - from) * width) / n);
    count[column]++;
    for (let u = 0; u < H; u++) {
      const at = t * H + u;
      data[rank[u] * width + column] += other ? own[at] - other[at] : own[at];
    }
  }
  let low = Infinity;
  let high = -Infinity;
  for (let k = 0; k < data.length; k++) {
    const v = (data[k] /= count[k % width]);
    if (!Number.isFinite(v)) continue; // an infinite end would leave one colour for all others
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (low > high) low = high = 0;
  return { variable, rows: H, columns: width, window, data, low, high };
}

/**
 * A line of at most about `columns` points: of each column its lowest and highest value, in the
 * order in which they come, so that a peak of one step stays to be seen.
 */
export function line(at: (t: number) => number, window: [number, number], columns: number): Line {
  const [from, to] = window;
  const n = to - from;
  if (n <= columns) {
    const steps = Array.from({ length: n }, (_, k) => from + k);
    return { steps, values: steps.map(at) };
  }
  const steps: number[] = [];
  const values: number[] = [];
  const half = Math.floor(columns / 2);
  for (let k = 0; k < half; k++) {
    const first = from + Math.floor((k * n) / half);
    const last = from + Math.floor(((k + 1) * n) / half);
    let [low, high] = [first, first];
    for (let t = first; t < last; t++) {
      if (at(t) < at(low)) low = t;
      if (at(t) > at(high)) high = t;
    }
    for (const t of low <= high ? [low, high] : [high, low]) {
      steps.push(t);
      values.push(at(t));
    }
  }
  return { steps, values };
}
