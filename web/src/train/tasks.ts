/** Small tasks, each a definition of its sequences and of what counts as solved. */
import type { Random } from "./random";

export interface Batch {
  T: number;
  B: number;
  x: Float32Array; // [T, B, inputs]
  target: Float32Array; // [T, B, outputs]
  /** 1 where the output counts. [T, B] */
  counts: Float32Array;
}

export interface Task {
  title: string;
  /** What is asked, in a sentence or two. */
  about: string;
  inputs: string[];
  outputs: string[];
  loss: "squared" | "softmax";
  rate: number;
  /** Loss of the best answer that knows nothing of the input. */
  trivial: number;
  batch(random: Random, B: number): Batch;
  /** Of a squared loss: an output within this counts as right. */
  within: number;
}

function empty(T: number, B: number, inputs: number, outputs: number): Batch {
  return {
    T,
    B,
    x: new Float32Array(T * B * inputs),
    target: new Float32Array(T * B * outputs),
    counts: new Float32Array(T * B),
  };
}

const ADDING_T = 50;
const SYMBOLS = 4;
const RECALLED = 3;
const BLANKS = 10;
const LONGEST = 8;
const SINE_T = 60;

const adding: Task = {
  title: "Adding",
  about:
    "Fifty random numbers, two of them marked. The answer after the last step is the sum of the " +
    "two. The cell has to hold a number over many steps.",
  inputs: ["number", "marker"],
  outputs: ["sum"],
  loss: "squared",
  rate: 0.01,
  trivial: 1 / 6,
  within: 0.16,
  batch(random, B) {
    const T = ADDING_T;
    const batch = empty(T, B, 2, 1);
    for (let b = 0; b < B; b++) {
      const marked = [random.below(T / 2), T / 2 + random.below(T / 2)];
      for (let t = 0; t < T; t++) batch.x[(t * B + b) * 2] = random.next();
      let sum = 0;
      for (const t of marked) {
        batch.x[(t * B + b) * 2 + 1] = 1;
        sum += batch.x[(t * B + b) * 2];
      }
      batch.target[(T - 1) * B + b] = sum;
      batch.counts[(T - 1) * B + b] = 1;
    }
    return batch;
  },
};

const copy: Task = {
  title: "Copy",
  about:
    `${RECALLED} letters, then ${BLANKS} blanks, then a sign to begin: the letters are to be said ` +
    "again, in order. The cell has to keep several things apart.",
  inputs: ["A", "B", "C", "D", "go"],
  outputs: ["A", "B", "C", "D"],
  loss: "softmax",
  rate: 0.01,
  trivial: Math.log(SYMBOLS),
  within: 0,
  batch(random, B) {
    const T = RECALLED + BLANKS + RECALLED;
    const batch = empty(T, B, SYMBOLS + 1, SYMBOLS);
    for (let b = 0; b < B; b++) {
      for (let k = 0; k < RECALLED; k++) {
        const symbol = random.below(SYMBOLS);
        batch.x[(k * B + b) * (SYMBOLS + 1) + symbol] = 1;
        const t = RECALLED + BLANKS + k;
        batch.x[(t * B + b) * (SYMBOLS + 1) + SYMBOLS] = 1;
        batch.target[(t * B + b) * SYMBOLS + symbol] = 1;
        batch.counts[t * B + b] = 1;
      }
    }
    return batch;
  },
};

const counting: Task = {
  title: "aⁿbⁿ",
  about:
    `Up to ${LONGEST} times a, then as many times b, then the end. From the first b on, the next ` +
    "sign is determined: another b, or the end. The cell has to count.",
  inputs: ["a", "b"],
  outputs: ["b", "end"],
  loss: "softmax",
  rate: 0.01,
  trivial: 0.5,
  within: 0,
  batch(random, B) {
    const T = 2 * LONGEST;
    const batch = empty(T, B, 2, 2);
    for (let b = 0; b < B; b++) {
      const n = 1 + random.below(LONGEST);
      for (let t = 0; t < 2 * n; t++) {
        batch.x[(t * B + b) * 2 + (t < n ? 0 : 1)] = 1;
        if (t < n) continue;
        batch.counts[t * B + b] = 1;
        batch.target[(t * B + b) * 2 + (t === 2 * n - 1 ? 1 : 0)] = 1;
      }
    }
    return batch;
  },
};
// Of n signs that count, n - 1 are b: with n uniform on 1 to LONGEST, this many in all.
const ENDS = LONGEST / ((LONGEST * (LONGEST + 1)) / 2);
counting.trivial = -(ENDS * Math.log(ENDS) + (1 - ENDS) * Math.log(1 - ENDS));

const sine: Task = {
  title: "Sine",
  about:
    "A wave of unknown period and phase with a little noise. The answer at each step is the next " +
    "value of the wave. The cell has to keep time.",
  inputs: ["value"],
  outputs: ["next value"],
  loss: "squared",
  rate: 0.005,
  trivial: 0.5,
  within: 0.2,
  batch(random, B) {
    const T = SINE_T;
    const batch = empty(T, B, 1, 1);
    for (let b = 0; b < B; b++) {
      const period = random.uniform(8, 25);
      const phase = random.uniform(0, 2 * Math.PI);
      const wave = (t: number) => Math.sin((2 * Math.PI * t) / period + phase);
      for (let t = 0; t < T; t++) {
        batch.x[t * B + b] = wave(t) + random.uniform(-0.1, 0.1);
        batch.target[t * B + b] = wave(t + 1);
        batch.counts[t * B + b] = t < 5 ? 0 : 1; // before that the wave is not told
      }
    }
    return batch;
  },
};

export const TASKS = { adding, copy, counting, sine } as const;
export type TaskName = keyof typeof TASKS;
