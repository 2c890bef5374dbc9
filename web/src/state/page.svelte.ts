/** The one selection that all views share, and what is known of the run that it names. */
import { possible } from "./edits";
import type { ModelData, PageData, SeriesData } from "../data";
import type { Network } from "../kernel/types";
import { TASKS } from "../train/tasks";
import type { TrainingState, TrainingTask } from "../train/session";
import type { Client } from "../worker/client";
import type { RunKey, RunSummary, StepValues, Variable } from "../worker/protocol";
import { Latest } from "./latest.svelte";
import { decode, encode, START, VIEWS, type State, type View } from "./url";

/** What the page tells of a model, whether it was brought along or is trained here. */
export interface Shown {
  name: string;
  about: string;
  network: Network;
  inputs: string[];
  outputs: string[];
  units?: string[][];
  series: Pick<SeriesData, "name" | "time" | "target">[];
  forecast?: ModelData["forecast"];
}

const EXAMPLES = 3;
/** Steps that a page without a network of its own trains when it is opened. */
const AT_FIRST = 1200;

export class Page {
  state = $state<State>(structuredClone(START));
  training = $state.raw<TrainingState>();
  /** Which of the read-out's outputs is looked at. */
  output = $state(0);
  /** Training steps a second; 0: as many as can be. */
  trainingSpeed = $state(0);
  /** Said aloud by a screen reader. */
  spoken = $state("");
  playing = $state(false);
  /** What the pointer is over, in any heatmap. */
  hover = $state<{ t: number; unit: number } | null>(null);
  /** Counts the turns from one heatmap to the next by keyboard: the next one takes the focus. */
  focusMap = $state(0);
  summary = new Latest<RunSummary>();
  /** The same run without changes, where there are some. */
  plain = new Latest<RunSummary>();
  stepNow = new Latest<StepValues>();
  /** What is wrong with the page as a whole. */
  failed = $state("");
  /** The variable to be said aloud when the selection has moved; null: none. */
  saying: Variable | null = null;
  /** When the worker has the core and the models. */
  started: Promise<void> = Promise.resolve();
  ready = $state(false);

  constructor(
    readonly client: Client,
    readonly data: PageData | null,
  ) {
    const named = VIEWS.filter((view) => data?.views?.includes(view) ?? true);
    this.views = named.length ? named : VIEWS;
  }

  /** Those that this page shows. */
  readonly views: readonly View[];

  models = $derived.by(() => {
    const found: { key: State["model"]; shown: Shown }[] = (this.data?.models ?? []).map(
      (model, key) => ({ key, shown: { ...model, outputs: model.readout?.names ?? [] } }),
    );
    if (this.training) found.push({ key: "trained", shown: trainedHere(this.training) });
    return found;
  });

  shown = $derived((this.models.find((m) => m.key === this.state.model) ?? this.models[0])?.shown);
  network = $derived(this.shown?.network);
  layers = $derived(this.network ? this.network.layers * this.network.directions : 0);
  H = $derived(this.network?.hidden ?? 0);
  series = $derived(this.shown?.series[this.state.series] ?? this.shown?.series[0]);
  T = $derived(this.series?.time.length ?? 0);
  layer = $derived(Math.min(this.state.layer, Math.max(0, this.layers - 1)));
  unit = $derived(Math.min(this.state.unit, Math.max(0, this.H - 1)));
  t = $derived(Math.min(this.state.step, Math.max(0, this.T - 1)));
  window = $derived.by((): [number, number] => {
    const zoom = this.state.zoom;
    if (!zoom || zoom[0] >= this.T) return [0, this.T];
    return [zoom[0], Math.min(zoom[1], this.T)];
  });
  /** Those of the address that change something in this cell. */
  swaps = $derived(possible(this.network?.cell, this.state.swaps));
  changed = $derived(Object.keys(this.swaps).length > 0 || this.state.edits.length > 0);

  private key = $derived.by((): RunKey => ({
    model: this.models.some((m) => m.key === this.state.model)
      ? this.state.model
      : (this.models[0]?.key ?? 0),
    series: this.shown?.series[this.state.series] ? this.state.series : 0,
    swaps: $state.snapshot(this.swaps),
    edits: $state.snapshot(this.state.edits),
    version: this.state.model === "trained" ? (this.training?.version ?? 0) : 0,
  }));
  /** The run as it is looked at, with the changes. */
  get run(): RunKey {
    return this.key;
  }
  plainRun = $derived.by((): RunKey => ({ ...this.key, swaps: {}, edits: [] }));

  /** The unit that matters most, at the last step at which much comes in: more to see than at 0. */
  async chooseForNewcomers() {
    const { run, client, T } = this;
    try {
      const { order } = await client.ask("order", { run, layer: this.layer, sort: "influence" });
      const what = { layer: this.layer, unit: order[0], variables: ["c" as const] };
      const { c } = await client.ask("lines", { run, ...what, window: [0, T], columns: 2 * T });
      const moved = c.values.map((v, t) => (t > 0 ? Math.abs(v - c.values[t - 1]) : 0));
      const much = 0.7 * Math.max(...moved.slice(1, -1));
      const step = Math.max(
        1,
        moved.slice(0, -1).findLastIndex((v) => v >= much),
      );
      this.choose({ unit: order[0], step });
    } catch {
      // What keeps the run from being made is told where the run is shown.
    }
  }

  /** Another model or series keeps what still fits of the selection. */
  choose(part: Partial<State>) {
    Object.assign(this.state, part);
  }

  selectStep(t: number) {
    this.state.step = Math.max(0, Math.min(this.T - 1, Math.round(t)));
  }

  selectUnit(u: number) {
    this.state.unit = Math.max(0, Math.min(this.H - 1, u));
  }

  reset() {
    this.state.swaps = {};
    this.state.edits = [];
  }

  unitName(u: number, layer = this.layer): string {
    return this.shown?.units?.[layer]?.[u] ?? String(u);
  }

  layerName(layer = this.layer): string {
    const D = this.network?.directions ?? 1;
    const level = `layer ${Math.floor(layer / D)}`;
    return D === 1 ? level : `${level}, ${layer % D ? "reverse" : "forward"}`;
  }

  timeName(t = this.t): string {
    return this.series?.time[t] ?? String(t);
  }

  async startTraining(task: TrainingTask) {
    this.state.training = task;
    this.training = await this.client.ask("train", $state.snapshot(task) as TrainingTask);
  }

  /** Trains what the address tells of, where it tells of a training and none such is going on. */
  async restoreTraining() {
    const { training, trained, model, view } = this.state;
    const wanted = trained > 0 || model === "trained" || view === "train";
    const named = (t: TrainingTask) =>
      JSON.stringify([
        t.task,
        t.seed,
        t.forgetBias,
        t.changes.map((c) => [c.site, c.function, c.at]),
      ]);
    const same = this.training && named(this.training) === named(training);
    if (!wanted || same) return;
    await this.startTraining(training);
    const steps = trained || (this.data?.models.length ? 0 : AT_FIRST);
    if (steps) this.training = await this.client.ask("trainRun", { running: true, steps });
  }

  readFragment(fragment: string) {
    this.state = decode(fragment);
    if (!this.views.includes(this.state.view)) this.state.view = this.views[0];
  }

  get fragment(): string {
    return encode($state.snapshot(this.state) as State);
  }
}

function trainedHere(training: TrainingState): Shown {
  const task = TASKS[training.task];
  const time = Array.from({ length: training.T }, (_, k) => String(k));
  return {
    name: `Trained here: ${task.title}`,
    about: `${training.network.hidden} units, ${training.step} steps of training in this page.`,
    network: training.network,
    inputs: task.inputs,
    outputs: task.outputs,
    series: Array.from({ length: EXAMPLES }, (_, k) => ({ name: `example ${k + 1}`, time })),
  };
}
