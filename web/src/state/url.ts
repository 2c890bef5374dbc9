/** The page's state as the fragment of its address, so that a link restores what somebody saw. */
import { NAMES } from "../compute/activations";
import { SORTS, type Sort } from "../compute/measures";
import { SITES, type Site } from "../kernel/types";
import type { CellChange, TrainingTask } from "../train/session";
import { TASKS, type TaskName } from "../train/tasks";
import type { Edit, Swaps } from "./edits";

export const VIEWS = ["cell", "time", "gradient", "swap", "forecast", "lab", "train"] as const;
export type View = (typeof VIEWS)[number];

export interface State {
  view: View;
  model: number | "trained";
  series: number;
  /** Index in [L * D]. */
  layer: number;
  unit: number;
  step: number;
  /** Steps from, to below. */
  zoom: [number, number] | null;
  sort: Sort;
  gradientOf: "unit" | "readout";
  swaps: Swaps;
  edits: Edit[];
  training: TrainingTask;
  /** The training step to run to when the page is opened; 0: none. */
  trained: number;
  /** Verdict that the lab is filtered by, "" for all. */
  verdict: string;
  /** Step of the tour, 0: none. */
  tour: number;
}

export const START: State = {
  view: "cell",
  model: 0,
  series: 0,
  layer: 0,
  unit: 0,
  step: 0,
  zoom: null,
  sort: "number",
  gradientOf: "unit",
  swaps: {},
  edits: [],
  training: { task: "adding", seed: 1, forgetBias: 1, changes: [] },
  trained: 0,
  verdict: "",
  tour: 0,
};

const VERDICT = /^[a-z ]{0,30}$/;

export function encode(state: State): string {
  const out: string[] = [`view=${state.view}`];
  const put = (key: string, value: string | number, usual: string | number) => {
    if (value !== usual) out.push(`${key}=${encodeURIComponent(value)}`);
  };
  put("model", state.model, START.model);
  for (const key of ["series", "layer"] as const) put(key, state[key], 0);
  // Always: an address without them is one of a newcomer, for whom the page chooses.
  out.push(`unit=${state.unit}`, `step=${state.step}`);
  if (state.zoom) put("zoom", state.zoom.join("-"), "");
  put("sort", state.sort, START.sort);
  put("of", state.gradientOf, START.gradientOf);
  put(
    "swap",
    Object.entries(state.swaps)
      .map((pair) => pair.join("."))
      .join(";"),
    "",
  );
  put("edit", state.edits.map(editText).join(";"), "");
  const { task, seed, forgetBias, changes } = state.training;
  put("train", [task, seed, forgetBias].join("~"), "adding~1~1");
  put("change", changes.map((c) => [c.site, c.function, c.at].join(".")).join(";"), "");
  put("trained", state.trained, 0);
  put("verdict", state.verdict, "");
  put("tour", state.tour, 0);
  return `#${out.join("&")}`;
}

const editText = (e: Edit) => [e.what, e.value, e.from, e.layer, e.unit ?? "all"].join("~");

/** Whether a fragment names the unit and the step that are to be seen. */
export const choosesUnit = (fragment: string) => /[#&](unit|step)=/.test(fragment);

/** What a fragment says; what it does not say, or says wrongly, is as in START. */
export function decode(fragment: string): State {
  const given = new Map(
    fragment
      .replace(/^#/, "")
      .split("&")
      .map((pair): [string, string] => {
        const at = pair.indexOf("=");
        return [pair.slice(0, at), readable(pair.slice(at + 1))];
      }),
  );
  const text = (key: string) => given.get(key) ?? "";
  const one = <T extends string>(key: string, known: readonly T[], usual: T) =>
    known.find((k) => k === text(key)) ?? usual;
  const list = (key: string) => text(key).split(";").filter(Boolean);
  return {
    view: one("view", VIEWS, START.view),
    model: text("model") === "trained" ? "trained" : whole(text("model")),
    series: whole(text("series")),
    layer: whole(text("layer")),
    unit: whole(text("unit")),
    step: whole(text("step")),
    zoom: zoomOf(text("zoom")),
    sort: one("sort", SORTS, START.sort),
    gradientOf: one("of", ["unit", "readout"] as const, START.gradientOf),
    swaps: swapsOf(list("swap")),
    edits: list("edit")
      .map(editOf)
      .filter((e) => e !== null),
    training: {
      ...trainingOf(text("train")),
      changes: list("change")
        .map(changeOf)
        .filter((c) => c !== null),
    },
    trained: whole(text("trained")),
    verdict: VERDICT.test(text("verdict")) ? text("verdict") : "",
    tour: Math.min(6, whole(text("tour"))),
  };
}

function readable(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

const whole = (text: string) => (/^\d{1,9}$/.test(text) ? Number(text) : 0);

const isSite = (text: string): text is Site => (SITES as readonly string[]).includes(text);

function zoomOf(text: string): [number, number] | null {
  const [from, to] = text.split("-").map(whole);
  return to > from ? [from, to] : null;
}

function swapsOf(pairs: string[]): Swaps {
  const out: Swaps = {};
  for (const pair of pairs) {
    const [site, name] = pair.split(".");
    if (isSite(site) && NAMES.includes(name)) out[site] = name;
  }
  return out;
}

function editOf(text: string): Edit | null {
  const [what, value, from, layer, unit] = text.split("~");
  const number = Number(value);
  if (!/^[ifgoc]$/.test(what) || !value || !Number.isFinite(number)) return null;
  return {
    what: what as Edit["what"],
    value: number,
    from: whole(from ?? ""),
    layer: whole(layer ?? ""),
    unit: unit === "all" ? null : whole(unit ?? ""),
  };
}

function trainingOf(text: string): Omit<TrainingTask, "changes"> {
  const [task, seed, bias] = text.split("~");
  const forgetBias = Number(bias);
  return {
    task: Object.hasOwn(TASKS, task) ? (task as TaskName) : START.training.task,
    seed: whole(seed ?? "") || START.training.seed,
    forgetBias: bias && Math.abs(forgetBias) <= 20 ? forgetBias : START.training.forgetBias,
  };
}

function changeOf(text: string): CellChange | null {
  const [site, name, at] = text.split(".");
  if (!isSite(site) || !NAMES.includes(name)) return null;
  return { site, function: name, at: whole(at ?? "") };
}
