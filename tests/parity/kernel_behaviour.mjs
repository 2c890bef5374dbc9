// What web/src/kernel/kernel.ts refuses and what it holds on to; run by `node --test`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createKernel } from "../../web/src/kernel/kernel.ts";

const module = readFileSync(
  new URL("../../src/gatewise/explorer/static/gatewise.wasm", import.meta.url),
);
const kernel = await createKernel(module);

const site = (name) => ({ function: name, scale: 1, slope: 1, shift: 0 });
const cell = {
  input_gate: site("sigmoid"),
  forget_gate: site("sigmoid"),
  candidate: site("tanh"),
  output_gate: site("sigmoid"),
  cell_output: site("tanh"),
  coupled: false,
  peephole: false,
  layer_norm: false,
};
const [T, B, I, H] = [5, 2, 3, 4];
const network = { layers: 1, directions: 1, inputs: I, hidden: H, projection: 0, cell };
const wave = (length, phase = 0) => Float32Array.from({ length }, (_, k) => Math.sin(k + phase));
const weights = {
  weight_ih_l0: wave(4 * H * I),
  weight_hh_l0: wave(4 * H * H, 1),
  bias_ih_l0: wave(4 * H, 2),
  bias_hh_l0: wave(4 * H, 3),
};
const x = wave(T * B * I, 4);
const dy = wave(T * B * H, 5);

for (const [change, message] of [
  [{ layers: 0 }, /layers is 0/],
  [{ directions: 3 }, /size is out of range/],
  [{ inputs: 1.5 }, /inputs is 1\.5/],
  [{ hidden: 2 ** 31 }, /hidden is/],
  [{ hidden: NaN }, /hidden is NaN/],
  [{ projection: 5 }, /size is out of range/],
  [{ cell: { ...cell, candidate: site("sine") } }, /no function sine: expected one of sigmoid/],
  [{ cell: { ...cell, candidate: { ...site("tanh"), scale: 0 } } }, /scale is 0/],
  [{ cell: { ...cell, candidate: { ...site("tanh"), slope: NaN } } }, /slope is NaN/],
  [{ cell: { ...cell, candidate: { ...site("tanh"), shift: Infinity } } }, /shift is Infinity/],
]) {
  test(`a network is refused: ${message.source}`, () => {
    assert.throws(() => kernel.model({ ...network, ...change }, weights), message);
  });
}

for (const [change, message] of [
  [{ weight_hh_l0: undefined }, /weight_hh_l0 is missing/],
  [{ bias_hh_l0: undefined }, /bias_ih_l0 or bias_hh_l0 is missing/],
  [{ weight_ih_l0: wave(3) }, /weight_ih_l0: expected a Float32Array of 48 numbers, got 3/],
  [{ weight_ih_l0: [...wave(48)] }, /weight_ih_l0: expected a Float32Array/],
  [{ weight_ih_l1: wave(3) }, /no parameter weight_ih_l1/],
  [{ weight_peephole_l0: wave(12) }, /no parameter weight_peephole_l0/],
]) {
  test(`weights are refused: ${message.source}`, () => {
    assert.throws(() => kernel.model(network, { ...weights, ...change }), message);
    const model = kernel.model(network, weights);
    assert.throws(() => model.load({ ...weights, ...change }), message);
    assert.deepEqual(model.run(x, T, B).y, kernel.model(network, weights).run(x, T, B).y);
  });
}

test("a run is refused", () => {
  const model = kernel.model(network, weights);
  for (const [given, message] of [
    [[x, T, B + 1], /x: expected a Float32Array of 45 numbers, got 30/],
    [[x, -T, B], /T is -5/],
    [[x, T, 0.5], /B is 0\.5/],
    [[x, T, B, { h0: wave(1) }], /h0: expected a Float32Array of 8/],
    [[x, T, B, { c0: wave(1) }], /c0: expected/],
    [[x, T, B, { edits: { candidate: wave(1) } }], /edits\.candidate: expected/],
    [[x, T, B, { edits: { hidden: wave(1) } }], /no site hidden/],
  ]) {
    assert.throws(() => model.run(...given), message);
  }
  const wide = kernel.model({ ...network, inputs: 0 }, { ...weights, weight_ih_l0: wave(0) });
  assert.throws(() => wide.run(wave(0), 2 ** 30, 1), /size is out of range or too large/);
});

test("an activation, with its scale, slope and shift", () => {
  const given = Float32Array.of(-3, -0.5, 0, 2, NaN);
  const found = kernel.activate({ function: "tanh", scale: 2, slope: 0.5, shift: 1 }, given);
  given.forEach((value, k) => {
    const expected = 2 * Math.tanh(0.5 * value) + 1;
    if (k === 4) assert.ok(Number.isNaN(found[k]));
    else assert.ok(Math.abs(found[k] - expected) < 1e-6);
  });
  assert.equal(kernel.activate(site("relu"), new Float32Array(0)).length, 0);
  assert.throws(() => kernel.activate(site("swish"), given), /no function swish/);
});

test("backward and activity need a tape, and backward the cell's own gates", () => {
  const model = kernel.model(network, weights);
  const light = model.run(x, T, B, { keep: false });
  assert.throws(() => light.activity(), /kept no tape/);
  assert.throws(() => light.backward(dy), /kept no tape/);
  const candidate = new Float32Array(T * B * H);
  const edited = model.run(x, T, B, { edits: { candidate } });
  assert.deepEqual(edited.activity().candidate, candidate);
  assert.throws(() => edited.backward(dy), /has edits/);
  const run = model.run(x, T, B);
  assert.throws(() => run.backward(wave(1)), /dy: expected/);
  assert.throws(() => run.backward(dy, { dh_n: wave(1) }), /dh_n: expected/);
  assert.equal(run.backward(dy).gates, undefined);
});

test("what has been disposed of says so, and twice is once", () => {
  const model = kernel.model(network, weights);
  const run = model.run(x, T, B);
  model.dispose();
  model.dispose();
  assert.throws(() => model.run(x, T, B), /model has been disposed of/);
  assert.throws(() => model.load(weights), /model has been disposed of/);
  run.backward(dy);
  run.dispose();
  run.dispose();
  assert.throws(() => run.activity(), /run has been disposed of/);
  assert.equal(run.y.length, T * B * H);
});

test("a run keeps the weights that it ran with", () => {
  const model = kernel.model(network, weights);
  const run = model.run(x, T, B);
  const before = run.backward(dy);
  model.load({ ...weights, weight_hh_l0: wave(4 * H * H, 9) });
  assert.deepEqual(run.backward(dy), before);
  assert.notDeepEqual(model.run(x, T, B).y, run.y);
});

test("results of before survive the memory's growth", () => {
  const model = kernel.model(network, weights);
  const run = model.run(x, T, B);
  const [y, activity] = [run.y.slice(), run.activity()];
  const long = 200_000;
  const large = model.run(wave(long * I), long, 1);
  assert.deepEqual(run.y, y);
  assert.deepEqual(run.activity(), activity);
  large.dispose();
});

test("edits may change after the run, and NaN leaves the cell alone", () => {
  const model = kernel.model(network, weights);
  const forget_gate = new Float32Array(T * B * H).fill(NaN);
  forget_gate[3] = 0.25;
  const run = model.run(x, T, B, { edits: { forget_gate } });
  forget_gate.fill(0);
  const own = model.run(x, T, B).activity().forget_gate;
  const { forget_gate: found } = run.activity();
  assert.equal(found[3], 0.25);
  assert.deepEqual(found.slice(0, 3), own.slice(0, 3));
});
