/** Numbers on what a layer did: for sorting its units, and for finding like moments. */
import { range } from "./activations";
import { type Done, type Layer } from "./layer";

export const SORTS = ["number", "memory", "saturation", "influence"] as const;
export type Sort = (typeof SORTS)[number];

/** Steps until half of a cell state is forgotten: -ln 2 / mean(ln |f|); see trace.half_life. */
export function halfLife(layer: Layer, done: Done): Float64Array {
  const { H } = layer;
  return Float64Array.from({ length: H }, (_, u) => {
    let sum = 0;
    for (let t = 0; t < done.T; t++) sum += Math.log(Math.abs(done.f[t * H + u]));
    const rate = sum / done.T;
    return rate < 0 ? -Math.LN2 / rate : Infinity;
  });
}

/** Part of the steps in which psi(c) is within a tenth of the ends of its range. */
export function saturation(layer: Layer, done: Done): Float64Array {
  const { H } = layer;
  const [low, high] = range(layer.cell.cell_output);
  const edge = 0.1 * (high - low);
  return Float64Array.from({ length: H }, (_, u) => {
    if (!Number.isFinite(edge) || edge === 0) return 0;
    let n = 0;
    for (let t = 0; t < done.T; t++) {
      const v = done.psi[t * H + u];
      if (v < low + edge || v > high - edge) n++;
    }
    return n / done.T;
  });
}

/** How much h moves what reads it: its standard deviation times the norm of its weights. */
export function influence(layer: Layer, done: Done, readers: Float32Array, rows: number) {
  const { H, P } = layer;
  const columns = readers.length / rows;
  return Float64Array.from({ length: H }, (_, u) => {
    let sum = 0;
    let squares = 0;
    for (let t = 0; t < done.T; t++) {
      const v = done.h[t * H + u];
      sum += v;
      squares += v * v;
    }
    const deviation = Math.sqrt(Math.max(0, squares / done.T - (sum / done.T) ** 2));
    let weight = 0;
    for (let r = 0; r < rows; r++) {
      let w = 0;
      if (layer.wHr) {
        for (let p = 0; p < P; p++) w += readers[r * columns + p] * layer.wHr[p * H + u];
      } else w = readers[r * columns + u];
      weight += w * w;
    }
    return deviation * Math.sqrt(weight);
  });
}

/** Units in descending order of a number; as they stand where it is equal. */
export function ordered(by: Float64Array): Uint32Array {
  return Uint32Array.from(by.keys()).sort((a, b) => {
    const gap = by[b] - by[a];
    return Number.isNaN(gap) || gap === 0 ? a - b : gap;
  });
}

export interface Alike {
  t: number;
  /** Euclidean distance of the cell states, relative to their usual length. */
  distance: number;
}

/** Steps whose cell states are nearest to those of step t, best first, none next to another. */
export function similar(layer: Layer, done: Done, t: number, count: number): Alike[] {
  const { H } = layer;
  let usual = 0;
  const found: Alike[] = [];
  for (let s = 0; s < done.T; s++) {
    let gap = 0;
    for (let u = 0; u < H; u++) {
      const v = done.c[s * H + u];
      gap += (v - done.c[t * H + u]) ** 2;
      usual += v * v;
    }
    found.push({ t: s, distance: Math.sqrt(gap) });
  }
  const length = Math.sqrt(usual / done.T) || 1;
  found.sort((a, b) => a.distance - b.distance || a.t - b.t);
  const near = Math.max(2, Math.round(done.T / 50));
  const kept: Alike[] = [];
  for (const one of found) {
    const apart = [{ t }, ...kept].every((k) => Math.abs(k.t - one.t) >= near);
    if (apart) kept.push({ t: one.t, distance: one.distance / length });
    if (kept.length === count) break;
  }
  return kept;
}
