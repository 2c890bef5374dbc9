/** The worker: the core, the models and their runs, the training. It answers one question at a time. */
import { createKernel } from "../kernel/kernel";
import type { Kernel } from "../kernel/types";
import { Training } from "../train/session";
import type { Answer, Ask, Asks, Question } from "./protocol";
import * as queries from "./queries";
import { Runs, type Source, sourceOf } from "./runs";

type Answers = { [K in Ask]: (what: Asks[K][0]) => Asks[K][1] | Promise<Asks[K][1]> };

const sources = new Map<number | "trained", Source>();
let kernel: Kernel;
let runs: Runs;
let training: Training | null = null;

const tell = (answer: Answer) => self.postMessage(answer);

const answers: Answers = {
  async start({ module, models }) {
    const began = performance.now();
    const unzipped = new Blob([module]).stream().pipeThrough(new DecompressionStream("gzip"));
    kernel = await createKernel(await new Response(unzipped).arrayBuffer());
    models.forEach((data, k) => sources.set(k, sourceOf(data)));
    runs = new Runs(kernel, sources);
    return { milliseconds: performance.now() - began };
  },
  run: (key) => queries.summary(runs.get(key)),
  step: ({ run, layer, t }) => queries.step(runs.get(run), layer, t),
  rasters: (what) => queries.rasters(runs.get(what.run), what, what.less && runs.get(what.less)),
  lines: (what) => queries.lines(runs.get(what.run), what),
  inputs: ({ run, window, columns }) => queries.inputs(runs.get(run), window, columns),
  order: ({ run, layer, sort }) => queries.order(runs.get(run), layer, sort),
  attention: (what) => queries.attention(runs.get(what.run), what),
  triangle: (what) => queries.triangleOf(runs.get(what.run), what),
  similar: (what) => queries.similarTo(runs.get(what.run), what),
  gradient: (what) => queries.gradient(runs.get(what.run), what),
  train(task) {
    training?.dispose();
    runs.replaced("trained");
    training = new Training(
      kernel,
      task,
      (source) => sources.set("trained", source),
      (state) => tell({ training: state }),
    );
    return training.state();
  },
  trainRun({ running, steps, speed }) {
    if (!training) throw new Error("No task is being trained. Choose one first.");
    training.run(running, steps, speed);
    return training.state();
  },
  trainCell({ site, function: name }) {
    if (!training) throw new Error("No task is being trained. Choose one first.");
    training.change(site, name);
    runs.replaced("trained");
    return training.state();
  },
};

self.onmessage = async ({ data }: MessageEvent<Question>) => {
  const { id, ask, what } = data;
  try {
    const found = await (answers[ask] as (w: unknown) => unknown)(what);
    tell({ id, found });
  } catch (error) {
    tell({ id, error: error instanceof Error ? error.message : String(error) });
  }
};
