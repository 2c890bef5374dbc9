/** "Take the tanh away": six states of the page, and what to see in each. */
import type { Cell } from "../../kernel/types";
import type { State } from "../../state/url";

export interface TourStep {
  title: string;
  text: string;
  /** What the page is set to. */
  state: (cell: Cell) => Partial<State>;
}

const ON_CELL: Partial<State> = { view: "cell", edits: [] };

export const STEPS: TourStep[] = [
  {
    title: "The cell as it is",
    text:
      "Two tanhs stand in this cell. The first shapes the candidate g, which may enter the memory; " +
      "the second shapes what the cell tells of its memory c. On the line of c itself there is none: " +
      "c is multiplied by f, and i · g is added.",
    state: () => ({ ...ON_CELL, swaps: {} }),
  },
  {
    title: "Take the second tanh away",
    text:
      "Now h = o · c: the cell tells its memory as it is, however large. There is still no tanh on the " +
      "line of c; c changes because every gate of the next step sees the larger h. Look at the box on " +
      "the right, now a straight line, and at how the answer moves.",
    state: () => ({ ...ON_CELL, swaps: { cell_output: "identity" } }),
  },
  {
    title: "Take the first tanh away",
    text:
      "The second one is back. Now g may be any number, so a single step can put more than 1 into the " +
      "memory. Look at the largest |c|, and at how far the dots climb on the straight line of g.",
    state: () => ({ ...ON_CELL, swaps: { candidate: "identity" } }),
  },
  {
    title: "Take both away",
    text:
      "Nothing bounds what enters or what is told, yet the line of c is the same as ever: its gates " +
      "are all that is left. This network was trained with its tanhs; one that never had them learns " +
      "other weights. Train one in the last view and see.",
    state: () => ({ ...ON_CELL, swaps: { candidate: "identity", cell_output: "identity" } }),
  },
  {
    title: "Take the forget gate away instead",
    text:
      "Both tanhs are back, and f is 1: what is in the memory stays, for ever. Compare what is left of " +
      "the gradient along c with the steps before: with f = 1 nothing of it is lost, tanh or not. What " +
      "comes by all ways also passes h, the gates and both squashes, and may grow.",
    // A coupled cell's f is 1 - i and has no activation to swap: there f is held.
    state: (cell) =>
      cell.coupled
        ? { ...ON_CELL, swaps: {}, edits: [{ what: "f", value: 1, from: 0, layer: 0, unit: null }] }
        : { ...ON_CELL, swaps: { forget_gate: "one" } },
  },
  {
    title: "What the experiments say",
    text:
      "One network is one case. The lab trained many, with and without each tanh, and judged by rules; " +
      "where one was changed after scores were seen, its card says so. Read the verdicts on vanishing gradients and on the second tanh, each " +
      "with its interval and the command that repeats it.",
    state: () => ({ view: "lab", swaps: {}, edits: [], verdict: "" }),
  },
];

/** Claims that the last step points to. */
export const VERDICTS = ["vanishing", "output-squash"];
