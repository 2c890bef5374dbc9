/** One function for each question about a run. */
import { slopeAt } from "../compute/activations";
import { held, triangle } from "../compute/attention";
import { norms, PARTS } from "../compute/flow";
import { before } from "../compute/layer";
import { halfLife, influence, ordered, saturation, similar, type Sort } from "../compute/measures";
import { slopes, told } from "../compute/readout";
import { flowAt } from "../compute/stack";
import { gateParts, row, seenByOutput } from "../compute/step";
import type { Asks, GradientAnswer, RunSummary, StepValues } from "./protocol";
import { line, raster } from "./rasters";
import type { Ran } from "./runs";

/** Points of a read-out's line. */
const LINE = 1200;
/** Steps that a cell state is said to come from. */
const TOP = 3;
/** Multiplications that one picture of a gradient may take: about a second. */
const GRADIENT_WORK = 1.5e9;

/** h of the last layer at step t, both directions. */
function lastH(ran: Ran, t: number): Float32Array {
  const D = ran.network.directions;
  const P = ran.layers[0].P;
  const out = new Float32Array(D * P);
  ran.done.slice(-D).forEach((done, d) => out.set(row(done.y, t, P), d * P));
  return out;
}

/** What the read-out tells at step t; without one, nothing. */
export const readoutAt = (ran: Ran, t: number): number[] =>
  ran.readout ? told(ran.readout, lastH(ran, t)) : [];

/** The largest size of any number; NaN if one is none. */
function largest(arrays: Float32Array[]): number {
  let most = 0;
  for (const array of arrays) {
    for (const v of array) if (!(Math.abs(v) <= most)) most = Math.abs(v);
    if (Number.isNaN(most)) return NaN;
  }
  return most;
}

export function summary(ran: Ran): RunSummary {
  const T = ran.done[0].T;
  const names = ran.readout?.names ?? [];
  const [maxC, maxH] = [largest(ran.done.map((d) => d.c)), largest(ran.done.map((d) => d.h))];
  const all = names.length ? Array.from({ length: T }, (_, t) => readoutAt(ran, t)) : [];
  return {
    T,
    network: ran.network,
    cell: ran.network.cell,
    readout: names.map((_, k) => line((t) => all[t][k], [0, T], LINE)),
    readoutNames: names,
    last: all[T - 1] ?? [],
    maxC,
    maxH,
    milliseconds: ran.milliseconds,
  };
}

export function step(ran: Ran, index: number, t: number): StepValues {
  const layer = ran.layers[index];
  const done = ran.done[index];
  const { H, P } = layer;
  const { T } = done;
  const last = before(layer, t, T);
  const end = layer.reverse ? 0 : T - 1;
  const own = (a: Float32Array) => row(a, t, H).slice();
  return {
    t,
    ...{ i: own(done.i), f: own(done.f), g: own(done.g), o: own(done.o) },
    ...{ c: own(done.c), h: own(done.h), psi: own(done.psi) },
    cPrev: row(done.c, last, H).slice(),
    hPrev: row(done.y, last, P).slice(),
    seen: seenByOutput(layer, done, t),
    x: row(done.x, t, layer.inputs).slice(),
    ...gateParts(layer, done, t),
    readout: readoutAt(ran, t),
    hLast: row(done.y, end, P).slice(),
    cLast: row(done.c, end, H).slice(),
  };
}

export function rasters(ran: Ran, what: Asks["rasters"][0], less?: Ran): Asks["rasters"][1] {
  const { layer, window, columns, order } = what;
  const H = ran.layers[layer].H;
  return what.variables.map((v) =>
    raster(ran.done[layer], H, v, window, columns, order, less?.done[layer]),
  );
}

export function lines(ran: Ran, what: Asks["lines"][0]): Asks["lines"][1] {
  const done = ran.done[what.layer];
  const H = ran.layers[what.layer].H;
  return Object.fromEntries(
    what.variables.map((v) => [
      v,
      line((t) => done[v][t * H + what.unit], what.window, what.columns),
    ]),
  );
}

export function inputs(ran: Ran, window: [number, number], columns: number): Asks["inputs"][1] {
  const n = ran.layers[0].inputs;
  const { x } = ran.done[0];
  return Array.from({ length: n }, (_, k) => line((t) => x[t * n + k], window, columns));
}

export function order(ran: Ran, index: number, sort: Sort): Asks["order"][1] {
  const layer = ran.layers[index];
  const done = ran.done[index];
  let by: Float64Array;
  if (sort === "memory") by = halfLife(layer, done);
  else if (sort === "saturation") by = saturation(layer, done);
  else if (sort === "influence") by = influence(layer, done, ...readers(ran, index));
  else by = Float64Array.from({ length: layer.H }, (_, u) => -u);
  return { order: ordered(by), by };
}

/** The weights that read a layer's output: of the layer above, of the read-out, or its own. */
function readers(ran: Ran, index: number): [Float32Array, number] {
  const D = ran.network.directions;
  const P = ran.layers[index].P;
  const above = ran.layers[(Math.floor(index / D) + 1) * D];
  const end = ran.done[0].T - 1;
  const all = above ? above.wIh : ran.readout && slopes(ran.readout, lastH(ran, end));
  if (!all) return [ran.layers[index].wHh, 4 * ran.layers[index].H];
  const rows = all.length / (D * P);
  const own = new Float32Array(rows * P);
  const d = index % D;
  for (let r = 0; r < rows; r++) {
    own.set(all.subarray((r * D + d) * P, (r * D + d + 1) * P), r * P);
  }
  return [own, rows];
}

export function attention(ran: Ran, what: Asks["attention"][0]): Asks["attention"][1] {
  const layer = ran.layers[what.layer];
  const done = ran.done[what.layer];
  const { weight, part, initial } = held(layer, done, what.unit, what.t);
  const top = Array.from(part, (v, t) => ({ t, part: v }))
    .filter((one) => one.part !== 0)
    .sort((a, b) => Math.abs(b.part) - Math.abs(a.part))
    .slice(0, TOP);
  return {
    c: done.c[what.t * layer.H + what.unit],
    initial,
    weight: line((t) => weight[t], what.window, what.columns),
    part: line((t) => part[t], what.window, what.columns),
    top,
  };
}

export const triangleOf = (ran: Ran, what: Asks["triangle"][0]) =>
  triangle(ran.layers[what.layer], ran.done[what.layer], what.unit, what.window, what.most);

export const similarTo = (ran: Ran, what: Asks["similar"][0]) =>
  similar(ran.layers[what.layer], ran.done[what.layer], what.t, what.count);

/** The slopes of one output at the h of step t. */
function rowOf(ran: Ran, t: number, output: number): Float32Array {
  const h = lastH(ran, t);
  const o = Math.min(output, ran.readout!.names.length - 1);
  return slopes(ran.readout!, h).subarray(o * h.length, (o + 1) * h.length);
}

export function gradient(ran: Ran, what: Asks["gradient"][0]): GradientAnswer {
  const { unit } = what;
  const layer = ran.layers[what.layer];
  const done = ran.done[what.layer];
  const { H, P } = layer;
  const perStep = 4 * H * P * (layer.cell.layer_norm ? 4 : 1);
  const most = Math.max(10, Math.floor(GRADIENT_WORK / (perStep * ran.layers.length)));
  const source =
    what.of === "readout" && ran.readout
      ? { of: "readout" as const, weight: rowOf(ran, what.t, what.output), t: what.t }
      : { of: "unit" as const, unit, t: what.t };
  const found = flowAt({ ...ran, directions: ran.network.directions }, what.layer, source, most);
  const steps: number[] = [];
  const begin = layer.reverse && source.of === "readout" ? 0 : what.t;
  for (let t = begin; t >= 0 && steps.length < most; t = before(layer, t, done.T)) steps.push(t);
  const recurrent = found.total.map((_, k) => found.i[k] + found.f[k] + found.g[k] + found.o[k]);
  const parts = Object.fromEntries(PARTS.map((p) => [p, norms(found[p], H, steps)]));
  let product = 1;
  return {
    steps,
    total: norms(found.total, H, steps),
    carousel: norms(found.carousel, H, steps),
    carried: parts.carried,
    readOut: parts.readOut,
    recurrent: norms(recurrent, H, steps),
    gates: { i: parts.i, f: parts.f, g: parts.g, o: parts.o },
    product: steps.map((t) => {
      const now = product;
      product *= Math.abs(done.f[t * H + unit]);
      return now;
    }),
    psiSlope: steps.map((t) => slopeAt(layer.cell.cell_output, done.psi[t * H + unit])),
    gSlope: steps.map((t) => slopeAt(layer.cell.candidate, done.g[t * H + unit])),
    own: steps.map((t) => Math.abs(found.total[t * H + unit])),
  };
}
