/** What the page asks of its worker, and what it gets. Answers carry windows, never a trace. */
import type { Triangle } from "../compute/attention";
import type { Alike, Sort } from "../compute/measures";
import type { ModelData } from "../data";
import type { Cell, Network, Site } from "../kernel/types";
import type { Edit, Swaps } from "../state/edits";
import type { TrainingState, TrainingTask } from "../train/session";

export type Variable = "i" | "f" | "g" | "o" | "c" | "h";
export const VARIABLES: Variable[] = ["i", "f", "g", "o", "c", "h"];

/** Which run: of a model on a series, perhaps with changes. */
export interface RunKey {
  /** Index in the page's data, or "trained" for the network that is trained here. */
  model: number | "trained";
  series: number;
  swaps: Swaps;
  edits: Edit[];
  /** Rises with each training step that is looked at. */
  version: number;
}

export interface RunSummary {
  T: number;
  network: Network;
  cell: Cell;
  /** [T][K] of the read-out, downsampled to at most `LINE` points with the steps they stand at. */
  readout: Line[];
  readoutNames: string[];
  /** Of the last step. */
  last: number[];
  maxC: number;
  maxH: number;
  milliseconds: number;
}

export interface Line {
  steps: number[];
  values: number[];
}

export interface StepValues {
  t: number;
  /** [H] each. */
  i: Float32Array;
  f: Float32Array;
  g: Float32Array;
  o: Float32Array;
  c: Float32Array;
  h: Float32Array;
  psi: Float32Array;
  cPrev: Float32Array;
  hPrev: Float32Array;
  /** What psi is given: c, or its norm. */
  seen: Float64Array;
  x: Float32Array;
  /** [4, H]: what the activations are given, and its parts. */
  pre: Float64Array;
  fromX: Float64Array;
  fromH: Float64Array;
  fromC: Float64Array;
  bias: Float64Array;
  readout: number[];
  /** Of this layer, after the last step that it reads. */
  hLast: Float32Array;
  cLast: Float32Array;
}

/** [rows, columns]: means over the steps of a column. */
export interface Raster {
  variable: Variable;
  rows: number;
  columns: number;
  window: [number, number];
  data: Float32Array;
  low: number;
  high: number;
}

export interface GradientAnswer {
  steps: number[];
  total: number[];
  carousel: number[];
  carried: number[];
  readOut: number[];
  recurrent: number[];
  gates: Record<"i" | "f" | "g" | "o", number[]>;
  /** Of the selected unit: |product of forget gates|, psi', phi', |dL/dc|. */
  product: number[];
  psiSlope: number[];
  gSlope: number[];
  own: number[];
}

/** What a unit holds at one step; see compute/attention.ts. */
export interface AttentionRow {
  c: number;
  initial: number;
  weight: Line;
  part: Line;
  /** The steps that most of c came in at. */
  top: { t: number; part: number }[];
}

export interface Asks {
  start: [{ module: ArrayBuffer; models: ModelData[] }, { milliseconds: number }];
  run: [RunKey, RunSummary];
  step: [{ run: RunKey; layer: number; t: number }, StepValues];
  rasters: [
    {
      run: RunKey;
      layer: number;
      variables: Variable[];
      window: [number, number];
      columns: number;
      order: Uint32Array | null;
      /** Less this run: what a change has changed. */
      less?: RunKey;
    },
    Raster[],
  ];
  lines: [
    {
      run: RunKey;
      layer: number;
      unit: number;
      variables: Variable[];
      window: [number, number];
      columns: number;
    },
    Record<string, Line>,
  ];
  inputs: [{ run: RunKey; window: [number, number]; columns: number }, Line[]];
  order: [{ run: RunKey; layer: number; sort: Sort }, { order: Uint32Array; by: Float64Array }];
  attention: [
    {
      run: RunKey;
      layer: number;
      unit: number;
      t: number;
      window: [number, number];
      columns: number;
    },
    AttentionRow,
  ];
  triangle: [
    { run: RunKey; layer: number; unit: number; window: [number, number]; most: number },
    Triangle,
  ];
  similar: [{ run: RunKey; layer: number; t: number; count: number }, Alike[]];
  gradient: [
    /** output: which of the read-out's. */
    {
      run: RunKey;
      layer: number;
      unit: number;
      t: number;
      of: "unit" | "readout";
      output: number;
    },
    GradientAnswer,
  ];
  train: [TrainingTask, TrainingState];
  trainRun: [{ running: boolean; steps?: number; speed?: number }, TrainingState];
  trainCell: [{ site: Site; function: string }, TrainingState];
}

export type Ask = keyof Asks;

export interface Question<K extends Ask = Ask> {
  id: number;
  ask: K;
  what: Asks[K][0];
}

export type Answer =
  { id: number; found: unknown } | { id: number; error: string } | { training: TrainingState };
