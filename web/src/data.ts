/** What a page carries besides the core: weights, inputs and the lab's results, never a trace. */
import type { Network } from "./kernel/types";

/** A float32 array, little endian, as base64. */
export interface Packed {
  shape: number[];
  data: string;
}

export interface PageData {
  format: 1;
  title: string;
  /** The command or call that makes this page again. */
  command: string;
  /** Which views the page shows; default all. */
  views?: string[];
  models: ModelData[];
  /** Claims and reproductions, or none where the lab's results are not at hand. */
  lab: Claim[];
}

export interface ModelData {
  name: string;
  /** One sentence: what it is, what it was trained on. */
  about: string;
  network: Network;
  weights: Record<string, Packed>;
  /** A linear layer on the h of the last layer: what the model tells at each step. */
  readout?: {
    /** Where there is one, h passes a layer with tanh first: weight [K, D * P], bias [K]. */
    hidden?: { weight: Packed; bias: Packed };
    weight: Packed; // [O, D * P] or [O, K]
    bias: Packed;
    names: string[];
  };
  /** Names of the I inputs. */
  inputs: string[];
  /** Names of units, [L * D][H], where somebody gave some. */
  units?: string[][];
  series: SeriesData[];
  forecast?: ForecastData;
}

export interface SeriesData {
  name: string;
  /** A label for each of the T steps: dates, or numbers. */
  time: string[];
  x: Packed; // [T, I]
  /** What is forecast at each step, to be drawn above the heatmaps, in its own unit. */
  target?: { name: string; values: (number | null)[] };
}

export interface ForecastData {
  sentence: string;
  series: {
    name: string;
    history: { time: string[]; values: (number | null)[] };
    time: string[];
    /** By level, such as "0.1", "0.5", "0.9": [h] each. */
    quantiles: Record<string, number[]>;
  }[];
  /** Of the backtest: what was forecast from each origin, beside what came and what others said. */
  folds: {
    series: string;
    origin: string;
    time: string[];
    actual: (number | null)[];
    forecasts: Record<string, (number | null)[]>;
  }[];
  /** One line for each method, the same columns in each. */
  scores: { columns: string[]; rows: (string | number | null)[][] } | null;
  /**
   * Of each driver: the change of the next row's forecast when it was higher by one standard
   * deviation, `first` rows before, one more, and so on; in standard deviations of the target.
   */
  drivers: {
    name: string;
    effect: number[];
    first: number;
    sign: "+" | "-" | "0";
    known: string;
  }[];
}

export interface Claim {
  name: string;
  kind: "claim" | "reproduction";
  claim: string;
  hypothesis: string;
  /** supported, contradicted, depends, underpowered, reproduced, not reproduced. */
  word: string;
  /** The verdict in a few words: "depends on the forget gate". */
  title: string;
  sentence: string;
  /** SVG text of our own making; colours by CSS variables or currentColor. */
  picture: string;
  table: { columns: string[]; rows: (string | number | null)[][] };
  design: { metric: string; statistic: string; seeds: number };
  literature: string;
  amended: string;
  command: string;
}
