/** A network in training: draws, learns, tells how it goes, in slices that leave room for questions. */
import { plain } from "../compute/activations";
import {
  SITES,
  type Cell,
  type Kernel,
  type Model,
  type Network,
  type Site,
  type Weights,
} from "../kernel/types";
import type { Source } from "../worker/runs";
import { Adam, clip } from "./adam";
import { Random } from "./random";
import { judge } from "./readout";
import { TASKS, type Batch, type Task, type TaskName } from "./tasks";

export interface CellChange {
  site: Site;
  function: string;
  /** The training step before which it is made. */
  at: number;
}

export interface TrainingTask {
  task: TaskName;
  seed: number;
  /** Added to the bias of the forget gate at the beginning. */
  forgetBias: number;
  changes: CellChange[];
}

export interface TrainingState {
  task: TaskName;
  seed: number;
  forgetBias: number;
  step: number;
  running: boolean;
  /** Of the last batch; NaN before the first. */
  loss: number;
  /** Part of a fixed set of unseen sequences that is solved. */
  right: number;
  /** Mean losses of `every` steps each. */
  losses: number[];
  every: number;
  stepsPerSecond: number;
  cell: Cell;
  changes: CellChange[];
  /** Rises when the network that can be looked at is another one. */
  version: number;
  network: Network;
  T: number;
}

const HIDDEN = 16;
const ROWS = 20;
const CLIP = 1;
const EXAMPLES = 3;
const UNSEEN = 100;
const SLICE = 20;
const TELL_EVERY = 80;
const MOST_POINTS = 400;

export class Training {
  private task: Task;
  private network: Network;
  private weights: Weights;
  private readout: { weight: Float32Array; bias: Float32Array };
  private model: Model;
  private adam: Adam;
  private random: Random;
  private unseen: Batch;
  private examples: { x: Float32Array; T: number }[];
  private pending: CellChange[];
  private step = 0;
  private loss = NaN;
  private right = 0;
  private losses: number[] = [];
  private every = 1;
  private gathered: number[] = [];
  private running = false;
  private until = Infinity;
  private speed = 0;
  /** The next slice; cleared at each start and stop, so that there is one loop. */
  private timer?: ReturnType<typeof setTimeout>;
  private rate = 0;
  private told = 0;
  private toldStep = 0;
  private version = 0;
  private ended = false;

  constructor(
    private kernel: Kernel,
    private settings: TrainingTask,
    private offer: (source: Source) => void,
    private tell: (state: TrainingState) => void,
  ) {
    this.task = TASKS[settings.task];
    this.random = new Random(settings.seed);
    this.pending = settings.changes.slice().sort((a, b) => a.at - b.at);
    const cell = Object.fromEntries(
      SITES.map((site) => [site, plain(/candidate|cell_output/.test(site) ? "tanh" : "sigmoid")]),
    ) as Record<Site, ReturnType<typeof plain>>;
    this.network = {
      layers: 1,
      directions: 1,
      inputs: this.task.inputs.length,
      hidden: HIDDEN,
      projection: 0,
      cell: { ...cell, coupled: false, peephole: false, layer_norm: false },
    };
    // As torch.nn.LSTM and torch.nn.Linear begin: uniform within 1/sqrt(H).
    const drawn = (n: number) =>
      Float32Array.from({ length: n }, () => this.random.uniform(-1, 1) / Math.sqrt(HIDDEN));
    this.weights = {
      weight_ih_l0: drawn(4 * HIDDEN * this.network.inputs),
      weight_hh_l0: drawn(4 * HIDDEN * HIDDEN),
      bias_ih_l0: drawn(4 * HIDDEN),
      bias_hh_l0: drawn(4 * HIDDEN),
    };
    for (let u = 0; u < HIDDEN; u++) this.weights.bias_ih_l0[HIDDEN + u] += settings.forgetBias;
    const outputs = this.task.outputs.length;
    this.readout = { weight: drawn(outputs * HIDDEN), bias: drawn(outputs) };
    this.adam = new Adam(this.parameters(), this.task.rate);
    this.model = kernel.model(this.network, this.weights);
    // Never trained on: drawn from other seeds than the batches.
    const apart = new Random(settings.seed + 1_000_003);
    this.unseen = this.task.batch(apart, UNSEEN);
    this.examples = Array.from({ length: EXAMPLES }, () => {
      const { x, T } = this.task.batch(apart, 1);
      return { x, T };
    });
    this.look();
  }

  private parameters = () => [
    ...Object.values(this.weights),
    this.readout.weight,
    this.readout.bias,
  ];

  /** Starts or stops; `steps` runs up to that step and then stops. */
  run(running: boolean, steps?: number, speed?: number) {
    if (speed !== undefined) this.speed = speed;
    this.until = steps ?? Infinity;
    const idle = !this.running;
    this.running = running && this.step < this.until;
    clearTimeout(this.timer);
    if (this.running) {
      if (idle) [this.told, this.toldStep] = [performance.now(), this.step];
      this.slice();
    }
    if (!this.running) this.look();
  }

  change(site: Site, name: string) {
    this.apply({ site, function: name, at: this.step });
    this.pending = this.pending.filter((c) => c.site !== site);
    const others = this.settings.changes.filter((c) => c.at < this.step || c.site !== site);
    this.settings.changes = [...others, { site, function: name, at: this.step }];
    this.look();
  }

  dispose() {
    this.ended = true;
    this.running = false;
    this.model.dispose();
  }

  state(): TrainingState {
    return {
      ...{ task: this.settings.task, seed: this.settings.seed },
      ...{ forgetBias: this.settings.forgetBias, changes: this.settings.changes },
      ...{ step: this.step, running: this.running, loss: this.loss, right: this.right },
      ...{ losses: this.losses.slice(), every: this.every, stepsPerSecond: this.rate },
      ...{ cell: this.network.cell, network: this.network, version: this.version },
      T: this.examples[0].T,
    };
  }

  private apply(change: CellChange) {
    this.network = {
      ...this.network,
      cell: { ...this.network.cell, [change.site]: plain(change.function) },
    };
    this.model.dispose();
    this.model = this.kernel.model(this.network, this.weights);
  }

  /** Some steps, then room for questions, then the next. */
  private slice() {
    if (!this.running || this.ended) return;
    const began = performance.now();
    let n = 0;
    const most = this.speed ? 1 : Infinity;
    while (n < most && this.step < this.until && performance.now() - began < SLICE) {
      this.one();
      n++;
    }
    const wait = this.speed ? Math.max(0, 1000 / this.speed - (performance.now() - began)) : 0;
    if (this.step >= this.until) this.running = false;
    const since = performance.now() - this.told;
    if (since > TELL_EVERY || !this.running) {
      this.look();
      if (this.toldStep < this.step) this.rate = (1000 * (this.step - this.toldStep)) / since;
      this.tell(this.state());
      [this.told, this.toldStep] = [performance.now(), this.step];
    }
    if (this.running) this.timer = setTimeout(() => this.slice(), wait);
  }

  private one() {
    while (this.pending.length && this.pending[0].at <= this.step)
      this.apply(this.pending.shift()!);
    const batch = this.task.batch(this.random, ROWS);
    const run = this.model.run(batch.x, batch.T, batch.B, { keep: true });
    try {
      const judged = this.judged(run.y, batch);
      const back = run.backward(judged.dy);
      const gradients = [
        ...Object.keys(this.weights).map((name) => back.weights[name]),
        judged.dWeight,
        judged.dBias,
      ];
      this.step++;
      this.loss = judged.loss;
      this.note(judged.loss);
      // A loss that is no number teaches nothing, and would spoil Adam's means for ever.
      if (!Number.isFinite(clip(gradients, CLIP))) return;
      this.adam.step(gradients);
      this.model.load(this.weights);
    } finally {
      run.dispose();
    }
  }

  private judged(y: Float32Array, batch: Batch) {
    const { weight, bias } = this.readout;
    return judge(y, weight, bias, batch, this.task.loss, this.task.within);
  }

  private note(loss: number) {
    this.gathered.push(loss);
    if (this.gathered.length < this.every) return;
    this.losses.push(this.gathered.reduce((a, b) => a + b) / this.gathered.length);
    this.gathered = [];
    if (this.losses.length < MOST_POINTS) return;
    this.losses = this.losses.filter((_, k) => k % 2).map((v, k) => (v + this.losses[2 * k]) / 2);
    this.every *= 2;
  }

  /** Offers a copy of the network as it is now, and sees how many unseen sequences it solves. */
  private look() {
    this.version++;
    const run = this.model.run(this.unseen.x, this.unseen.T, this.unseen.B, { keep: false });
    this.right = this.judged(run.y, this.unseen).right;
    run.dispose();
    const copied = Object.entries(this.weights).map(([name, w]) => [name, w.slice()]);
    this.offer({
      network: this.network,
      weights: Object.fromEntries(copied),
      readout: {
        weight: this.readout.weight.slice(),
        bias: this.readout.bias.slice(),
        names: this.task.outputs,
      },
      series: this.examples,
      version: this.version,
    });
  }
}
