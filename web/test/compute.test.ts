/** The page's own arithmetic against gatewise.trace, whose numbers stand in golden.json. */
import { describe, expect, it } from "vitest";
import { slopeAt, value } from "../src/compute/activations";
import { held, triangle } from "../src/compute/attention";
import { GATES, layerOf, type Done, type Layer } from "../src/compute/layer";
import { halfLife, ordered, similar } from "../src/compute/measures";
import { flowAt, type Stack } from "../src/compute/stack";
import { gateParts } from "../src/compute/step";
import type { Network, Weights } from "../src/kernel/types";
import golden from "./golden.json";

type Case = (typeof golden.cases)["plain"];
const T = golden.T;
const near = (found: ArrayLike<number>, wanted: ArrayLike<number>, within = 1e-6) => {
  expect(found.length).toBe(wanted.length);
  for (let k = 0; k < wanted.length; k++) {
    expect(Math.abs(found[k] - wanted[k]), `entry ${k}`).toBeLessThan(
      within * Math.max(1, Math.abs(wanted[k])),
    );
  }
};

function stackOf(one: Case): Stack {
  const network = one.network as Network;
  const weights: Weights = Object.fromEntries(
    Object.entries(one.weights).map(([name, w]) => [name, Float32Array.from(w)]),
  );
  const D = network.directions;
  const H = network.hidden;
  const P = network.projection || H;
  const layers: Layer[] = [];
  const done: Done[] = [];
  for (let k = 0; k < network.layers * D; k++) {
    const layer = layerOf(network, weights, k);
    const own = (values: number[], n = H) =>
      Float32Array.from(values.slice(k * T * n, (k + 1) * T * n));
    const a = one.activity;
    const below = done.slice((Math.floor(k / D) - 1) * D, Math.floor(k / D) * D);
    const x = new Float32Array(T * layer.inputs);
    for (let t = 0; t < T; t++) {
      if (k < D) x.set(one.x.slice(t * 2, t * 2 + 2), t * 2);
      else below.forEach((b, d) => x.set(b.y.subarray(t * P, (t + 1) * P), (t * D + d) * P));
    }
    const o = own(a.output_gate);
    const psi = own(a.cell_output);
    layers.push(layer);
    done.push({
      T,
      x,
      i: own(a.input_gate),
      f: own(a.forget_gate),
      g: own(a.candidate),
      o,
      c: own(a.cell_state),
      psi,
      h: o.map((v, at) => v * psi[at]),
      y: own(one.hidden_state, P),
    });
  }
  return { layers, done, directions: D };
}

describe("activations", () => {
  const x = golden.activations.x as number[];
  const cases = golden.activations.cases;
  it.each(cases)("$function, scaled by $scale", ({ y, dy, ...a }) => {
    near(
      x.map((v) => value(a, v)),
      y,
      1e-9,
    );
    near(
      y.map((v) => slopeAt(a, v)),
      dy,
      1e-8,
    );
  });
});

describe.each(Object.entries(golden.cases) as [string, Case][])("%s", (_, one) => {
  const stack = stackOf(one);
  const H = 3;

  it("works out what each gate was given", () => {
    const { input_gate_pre, candidate_pre } = one.activity;
    stack.layers.forEach((layer, k) => {
      for (let t = 0; t < T; t++) {
        const { pre } = gateParts(layer, stack.done[k], t);
        const at = (k * T + t) * H;
        near(pre.slice(0, H), input_gate_pre.slice(at, at + H), 1e-5);
        near(pre.slice(2 * H, 3 * H), candidate_pre.slice(at, at + H), 1e-5);
      }
    });
  });

  it("sends the gradient of a read-out back in the same parts", () => {
    const weight = Float32Array.from(one.readout);
    stack.layers.forEach((_, k) => {
      const found = flowAt(stack, k, { of: "readout", weight, t: one.t });
      const own = (values: number[]) => values.slice(k * T * H, (k + 1) * T * H);
      near(found.total, own(one.flow.cell_state), 1e-5);
      near(found.carousel, own(one.flow.carousel), 1e-5);
      near(found.carried, own(one.flow.carried), 1e-5);
      near(found.readOut, own(one.flow.read_out), 1e-5);
      near(found.i, own(one.flow.input_gate), 1e-5);
      near(found.f, own(one.flow.forget_gate), 1e-5);
      near(found.g, own(one.flow.candidate), 1e-5);
      near(found.o, own(one.flow.output_gate), 1e-5);
    });
  });

  it("takes a cell state apart into what came in at each step", () => {
    const [layer, done] = [stack.layers[0], stack.done[0]];
    for (let t = 0; t < T; t++) {
      for (let u = 0; u < H; u++) {
        const { weight, part, initial } = held(layer, done, u, t);
        near(
          weight,
          Array.from({ length: T }, (_, j) => one.attention.weight[(t * T + j) * H + u]),
        );
        expect(initial).toBeCloseTo(one.attention.initial[t * H + u], 6);
        expect(part.reduce((a, b) => a + b)).toBeCloseTo(done.c[t * H + u], 5);
      }
    }
  });

  it("knows how long a unit remembers", () => {
    const wanted = one.half_life.slice(0, H);
    const found = halfLife(stack.layers[0], stack.done[0]);
    wanted.forEach((v, u) =>
      v === null ? expect(found[u]).toBe(Infinity) : expect(found[u] / v).toBeCloseTo(1, 4),
    );
  });
});

describe("pictures of a run", () => {
  const stack = stackOf(golden.cases.plain as Case);
  const [layer, done] = [stack.layers[0], stack.done[0]];

  it("puts the same sums into fewer columns of a triangle", () => {
    const { data, rows, columns, steps } = triangle(layer, done, 1, [0, T], 3);
    for (let r = 0; r < rows; r++) {
      const row = Array.from(data.slice(r * columns, (r + 1) * columns)).filter((v) => !isNaN(v));
      const c = done.c[steps[r] * layer.H + 1];
      expect(row.reduce((a, b) => a + b)).toBeCloseTo(c, 5);
    }
  });

  it("finds the step whose cell state is nearest", () => {
    const copy = { ...done, c: done.c.slice() };
    copy.c.set(copy.c.slice(0, 3), 5 * 3);
    expect(similar(layer, copy, 0, 1)[0]).toEqual({ t: 5, distance: 0 });
  });

  it("orders units by a number, equal ones as they stand", () => {
    expect([...ordered(Float64Array.of(1, 3, Infinity, 3))]).toEqual([2, 1, 3, 0]);
  });

  it("lets nothing flow back past what an edit has set", () => {
    const c = new Float32Array(T * 3).fill(NaN);
    c.fill(2, 3 * 3, 4 * 3);
    const source = { of: "unit", unit: 0, t: 5 } as const;
    const free = flowAt(stack, 0, source);
    const cut = flowAt({ ...stack, fixed: [{ c }] }, 0, source);
    expect(Math.abs(free.carousel[2 * 3])).toBeGreaterThan(1e-4);
    expect(cut.carousel[2 * 3]).toBe(0);
    const all = Object.fromEntries(GATES.map((gate) => [gate, new Float32Array(T * 3).fill(0.5)]));
    const still = flowAt({ ...stack, fixed: [{ c: undefined, ...all }] }, 0, source);
    expect(still.total[4 * 3]).toBeCloseTo(done.f[5 * 3] * still.total[5 * 3], 12);
  });
});
