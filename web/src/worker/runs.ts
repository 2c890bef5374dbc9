/** Runs of the models on their series, kept while somebody looks at them. */
import { type Done, type Layer, layerOf } from "../compute/layer";
import type { Fixed } from "../compute/flow";
import type { Readout } from "../compute/readout";
import { seenByOutput } from "../compute/step";
import type { ModelData, Packed } from "../data";
import type { Activity, Edits, Kernel, Model, Network, Weights } from "../kernel/types";
import { editArrays, swapped } from "../state/edits";
import type { RunKey } from "./protocol";

/** Numbers that a run may keep: the page of a browser has about 2 GB for all of them. */
export const LIMIT = 40e6;
const KEPT = 4;

export interface Ran {
  layers: Layer[];
  done: Done[];
  network: Network;
  fixed?: Fixed[];
  readout?: Readout;
  milliseconds: number;
}

export interface Source {
  network: Network;
  weights: Weights;
  readout?: Readout;
  series: { x: Float32Array; T: number }[];
  /** Rises when the weights change. */
  version: number;
}

export function unpack(packed: Packed): Float32Array {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  return new Float32Array(bytes.buffer);
}

export function sourceOf(data: ModelData): Source {
  const weights: Weights = {};
  for (const [name, packed] of Object.entries(data.weights)) weights[name] = unpack(packed);
  return {
    network: data.network,
    weights,
    readout: data.readout && {
      hidden: data.readout.hidden && {
        weight: unpack(data.readout.hidden.weight),
        bias: unpack(data.readout.hidden.bias),
      },
      weight: unpack(data.readout.weight),
      bias: unpack(data.readout.bias),
      names: data.readout.names,
    },
    series: data.series.map((s) => ({ x: unpack(s.x), T: s.x.shape[0] })),
    version: 0,
  };
}

export class Runs {
  private kept = new Map<string, Ran>();
  private models = new Map<string, { model: Model; version: number }>();

  constructor(
    private kernel: Kernel,
    private sources: Map<number | "trained", Source>,
  ) {}

  get(key: RunKey): Ran {
    const source = this.sources.get(key.model);
    if (!source) throw new Error("This model is not here. Choose another one above.");
    const name = JSON.stringify([key.model, key.series, key.swaps, key.edits, source.version]);
    let ran = this.kept.get(name);
    if (ran) this.kept.delete(name);
    else ran = this.compute(source, key);
    this.kept.set(name, ran); // the newest last
    for (const old of this.kept.keys()) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(old);
    }
    return ran;
  }

  private compute(source: Source, key: RunKey): Ran {
    const { x, T } = source.series[key.series] ?? source.series[0];
    const network = { ...source.network, cell: swapped(source.network.cell, key.swaps) };
    const count = network.layers * network.directions;
    const numbers = count * T * network.hidden * 8;
    if (numbers > LIMIT) {
      throw new Error(
        `${T.toLocaleString("en")} steps of ${(count * network.hidden).toLocaleString("en")} units ` +
          `are ${Math.round(numbers / 1e6)} million numbers; this page keeps up to ` +
          `${LIMIT / 1e6} million. Write the page with fewer steps, or use gatewise.trace.`,
      );
    }
    const began = performance.now();
    const edits = editArrays(network, T, key.edits);
    const run = this.model(key, source, network).run(x, T, 1, { edits, keep: true });
    try {
      const activity = run.activity();
      const layers = Array.from({ length: count }, (_, k) => layerOf(network, source.weights, k));
      const done: Done[] = [];
      for (const layer of layers) {
        done.push(this.doneOf(layer, network, x, T, activity, edits, done));
      }
      const fixed = edits && layers.map((layer) => fixedOf(layer, T, edits));
      const milliseconds = performance.now() - began;
      return { layers, done, network, fixed, readout: source.readout, milliseconds };
    } finally {
      run.dispose();
    }
  }

  /** Packed weights, one for each cell that has been tried. */
  private model(key: RunKey, source: Source, network: Network): Model {
    const name = JSON.stringify([key.model, network.cell]);
    const known = this.models.get(name);
    if (known) {
      if (known.version !== source.version) known.model.load(source.weights);
      known.version = source.version;
      return known.model;
    }
    if (this.models.size >= 12) {
      for (const { model } of this.models.values()) model.dispose();
      this.models.clear();
    }
    const model = this.kernel.model(network, source.weights);
    this.models.set(name, { model, version: source.version });
    return model;
  }

  /** Forgets what was packed, and what was run, of a model that is another one now. */
  replaced(model: number | "trained") {
    for (const name of this.kept.keys()) {
      if (JSON.parse(name)[0] === model) this.kept.delete(name);
    }
    for (const [name, known] of this.models) {
      if (JSON.parse(name)[0] !== model) continue;
      known.model.dispose();
      this.models.delete(name);
    }
  }

  private doneOf(
    layer: Layer,
    network: Network,
    x: Float32Array,
    T: number,
    activity: Activity,
    edits: Edits | undefined,
    below: Done[],
  ): Done {
    const { H, P } = layer;
    const own = (all: Float32Array) => all.slice(layer.index * T * H, (layer.index + 1) * T * H);
    const gate = (name: "input_gate" | "forget_gate" | "candidate" | "output_gate") => {
      const values = own(activity[name]);
      const held = edits?.[name];
      // The tape holds what the cell computed; where a number was put in its place, that counts.
      if (held) own(held).forEach((v, k) => Number.isNaN(v) || (values[k] = v));
      return values;
    };
    const done: Done = {
      T,
      x: inputOf(layer, network, x, T, below),
      i: gate("input_gate"),
      f: gate("forget_gate"),
      g: gate("candidate"),
      o: gate("output_gate"),
      c: own(activity.cell_state),
      psi: new Float32Array(0),
      h: new Float32Array(T * H),
      y: new Float32Array(0),
    };
    let seen = done.c;
    if (network.cell.layer_norm) {
      seen = new Float32Array(T * H);
      for (let t = 0; t < T; t++) seen.set(seenByOutput(layer, done, t), t * H);
    }
    done.psi = this.kernel.activate(network.cell.cell_output, seen);
    for (let k = 0; k < done.h.length; k++) done.h[k] = done.o[k] * done.psi[k];
    done.y = layer.wHr ? projected(layer.wHr, done.h, T, H, P) : done.h;
    return done;
  }
}

function inputOf(layer: Layer, network: Network, x: Float32Array, T: number, below: Done[]) {
  const D = network.directions;
  const level = Math.floor(layer.index / D);
  if (level === 0) return x;
  const from = below.slice((level - 1) * D, level * D);
  if (D === 1) return from[0].y;
  const P = layer.P;
  const out = new Float32Array(T * D * P);
  for (let t = 0; t < T; t++) {
    from.forEach((done, d) => out.set(done.y.subarray(t * P, (t + 1) * P), (t * D + d) * P));
  }
  return out;
}

function projected(w: Float32Array, h: Float32Array, T: number, H: number, P: number) {
  const out = new Float32Array(T * P);
  for (let t = 0; t < T; t++) {
    for (let p = 0; p < P; p++) {
      let sum = 0;
      for (let u = 0; u < H; u++) sum += w[p * H + u] * h[t * H + u];
      out[t * P + p] = sum;
    }
  }
  return out;
}

function fixedOf(layer: Layer, T: number, edits: Edits): Fixed {
  const n = T * layer.H;
  const own = (all?: Float32Array) => all?.subarray(layer.index * n, (layer.index + 1) * n);
  return {
    i: own(edits.input_gate),
    f: own(edits.forget_gate),
    g: own(edits.candidate),
    o: own(edits.output_gate),
    c: own(edits.cell_state),
  };
}
