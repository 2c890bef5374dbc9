// Runs web/src/kernel/kernel.ts: a list of problems as JSON comes in, what they give goes out.
// Arrays of float32 are base64 in both.
import { readFileSync } from "node:fs";
import { createKernel } from "../../web/src/kernel/kernel.ts";

const module = new URL("../../src/gatewise/explorer/static/gatewise.wasm", import.meta.url);
const kernel = await createKernel(readFileSync(module));

function unpack(text) {
  const bytes = Buffer.from(text, "base64");
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return new Float32Array(buffer);
}
const unpackAll = (arrays) =>
  Object.fromEntries(Object.entries(arrays).map(([name, text]) => [name, unpack(text)]));
const pack = (array) =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
const packAll = (arrays) =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, pack(array)]));

function solve({ network, weights, T, B, arrays, edits, keep }) {
  const given = unpackAll(arrays);
  const model = kernel.model(network, unpackAll(weights));
  const { h0, c0 } = given;
  const run = model.run(given.x, T, B, { h0, c0, edits: unpackAll(edits ?? {}), keep });
  model.dispose(); // a run holds what it needs
  const { y, h_n, c_n } = run;
  const found = { y, h_n, c_n };
  if (keep) Object.assign(found, run.activity());
  if (keep && !edits) {
    const { dh_n, dc_n } = given;
    const { weights: dweights, ...states } = run.backward(given.dy, { dh_n, dc_n, gates: true });
    Object.assign(found, states, dweights);
  }
  run.dispose();
  return packAll(found);
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(solve)));
