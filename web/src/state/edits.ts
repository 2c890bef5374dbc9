/** What a reader may change of a run: the cell's activations, its gates, its memory. */
import type { Cell, Edits, Network, Site } from "../kernel/types";
import { plain } from "../compute/activations";

/** Another activation at a site, by its name. */
export type Swaps = Partial<Record<Site, string>>;

/** `what` is held at `value`: a gate from step `from` on, a cell state c at that step alone. */
export interface Edit {
  what: "i" | "f" | "g" | "o" | "c";
  value: number;
  from: number;
  /** Index in [L * D]. */
  layer: number;
  /** Or all of them. */
  unit: number | null;
}

const NAMES = {
  i: "input_gate",
  f: "forget_gate",
  g: "candidate",
  o: "output_gate",
  c: "cell_state",
} as const;

export function swapped(cell: Cell, swaps: Swaps): Cell {
  const changed = { ...cell };
  for (const [site, name] of Object.entries(possible(cell, swaps))) {
    changed[site as Site] = plain(name);
  }
  return changed;
}

/** The swaps that change something: a coupled cell has no forget gate of its own. */
export function possible(cell: Cell | undefined, swaps: Swaps): Swaps {
  const { forget_gate: forget, ...others } = swaps;
  return cell?.coupled || forget === undefined ? others : { ...others, forget_gate: forget };
}

/** The arrays that the core takes, [L * D, T, 1, H]; undefined where nothing is changed. */
export function editArrays(network: Network, T: number, edits: Edit[]): Edits | undefined {
  if (!edits.length) return undefined;
  const { hidden: H } = network;
  const layers = network.layers * network.directions;
  const out: Edits = {};
  for (const edit of edits) {
    if (edit.layer >= layers || edit.from >= T) continue;
    const array = (out[NAMES[edit.what]] ??= new Float32Array(layers * T * H).fill(NaN));
    const reverse = edit.layer % network.directions === 1;
    // From a step on means on in the order of reading: to the first step in the reverse direction.
    const [first, last] =
      edit.what === "c" ? [edit.from, edit.from] : reverse ? [0, edit.from] : [edit.from, T - 1];
    for (let t = first; t <= last; t++) {
      const at = (edit.layer * T + t) * H;
      if (edit.unit === null) array.fill(edit.value, at, at + H);
      else if (edit.unit < H) array[at + edit.unit] = edit.value;
    }
  }
  return out;
}

export function told(edit: Edit, stepName: (t: number) => string): string {
  const who = edit.unit === null ? "of all units" : `of unit ${edit.unit}`;
  const value = Number(edit.value.toPrecision(4));
  return edit.what === "c"
    ? `c ${who} is set to ${value} at step ${stepName(edit.from)}`
    : `${edit.what} ${who} is held at ${value} from step ${stepName(edit.from)} on`;
}
