/** The tasks are what they say, Adam is torch's, the loss has the gradient of its value. */
import { describe, expect, it } from "vitest";
import { Adam, clip } from "../src/train/adam";
import { Random } from "../src/train/random";
import { judge } from "../src/train/readout";
import { TASKS, type Batch, type TaskName } from "../src/train/tasks";
import golden from "./golden.json";

const draw = (name: TaskName, B = 400) => TASKS[name].batch(new Random(3), B);
const at = (batch: Batch, a: Float32Array, t: number, b: number) => {
  const n = a.length / (batch.T * batch.B);
  return Array.from(a.slice((t * batch.B + b) * n, (t * batch.B + b + 1) * n));
};

describe("Adam", () => {
  it("steps as torch.optim.Adam does, with clipped gradients", () => {
    const { begin, rate, gradients, found } = golden.adam;
    const p = Float32Array.from(begin);
    const adam = new Adam([p], rate);
    gradients.forEach((gradient, k) => {
      const g = Float32Array.from(gradient);
      clip([g], 1);
      adam.step([g]);
      found[k].forEach((v, at) => expect(p[at]).toBeCloseTo(v, 5));
    });
  });
});

describe("tasks", () => {
  it("draws the same from the same seed, another from another", () => {
    const other = TASKS.adding.batch(new Random(4), 400);
    expect(draw("adding").x).toEqual(draw("adding").x);
    expect(draw("adding").x).not.toEqual(other.x);
  });

  it("adding: the answer is the sum of the two marked numbers", () => {
    const batch = draw("adding");
    for (let b = 0; b < batch.B; b++) {
      let [sum, marks] = [0, 0];
      for (let t = 0; t < batch.T; t++) {
        const [number, mark] = at(batch, batch.x, t, b);
        sum += number * mark;
        marks += mark;
      }
      expect(marks).toBe(2);
      expect(at(batch, batch.target, batch.T - 1, b)[0]).toBeCloseTo(sum, 5);
    }
  });

  it("copy: the letters come back in order", () => {
    const batch = draw("copy");
    for (let k = 0; k < 3; k++) {
      const said = at(batch, batch.target, batch.T - 3 + k, 5);
      expect(said).toEqual(at(batch, batch.x, k, 5).slice(0, 4));
    }
  });

  it("counting: as many b as a, then the end", () => {
    const batch = draw("counting");
    for (let b = 0; b < batch.B; b++) {
      const steps = Array.from({ length: batch.T }, (_, t) => at(batch, batch.x, t, b));
      const n = steps.filter(([a]) => a).length;
      expect(steps.filter(([, second]) => second).length).toBe(n);
      expect(at(batch, batch.target, 2 * n - 1, b)).toEqual([0, 1]);
    }
  });

  it.each(["adding", "copy", "counting", "sine"] as const)(
    "%s: the trivial loss is what a constant answer gets",
    (name) => {
      const task = TASKS[name];
      const batch = draw(name, 4000);
      const K = task.outputs.length;
      const mean = new Float64Array(K);
      let n = 0;
      batch.counts.forEach((c, k) => {
        n += c;
        for (let j = 0; j < K; j++) mean[j] += c * batch.target[k * K + j];
      });
      const constant = Float32Array.from(mean, (v) =>
        task.loss === "squared" ? v / n : Math.log(v / n),
      );
      const nothing = new Float32Array(batch.T * batch.B);
      const judged = judge(nothing, new Float32Array(K), constant, batch, task.loss, 0);
      expect(judged.loss / task.trivial).toBeCloseTo(1, 1);
    },
  );

  it.each(["squared", "softmax"] as const)("%s loss: its gradient is its slope", (loss) => {
    const random = new Random(1);
    const batch = draw("copy", 3);
    const H = 2;
    const fill = (n: number) => Float32Array.from({ length: n }, () => random.uniform(-1, 1));
    const y = fill(batch.T * batch.B * H);
    const [weight, bias] = [fill(4 * H), fill(4)];
    const value = () => judge(y, weight, bias, batch, loss, 0.1).loss;
    const { dy, dWeight, dBias } = judge(y, weight, bias, batch, loss, 0.1);
    for (const [array, gradient] of [
      [y, dy],
      [weight, dWeight],
      [bias, dBias],
    ] as const) {
      const k = gradient.findIndex((v) => Math.abs(v) > 1e-3);
      const was = array[k];
      array[k] = was + 1e-2;
      const up = value();
      array[k] = was - 1e-2;
      const slope = (up - value()) / 2e-2;
      array[k] = was;
      expect(slope).toBeCloseTo(gradient[k], 3);
    }
  });
});
