/** What a line chart draws, and its table. */
import { digits } from "../draw/format";

export interface ChartLine {
  name: string;
  /** A CSS colour, mostly one of the variables of app.css. */
  colour: string;
  steps: number[];
  values: (number | null)[];
  width?: number;
  dash?: string;
}

const MOST_ROWS = 250;

export function tableOf(lines: ChartLine[], xName: string, nameOf: (x: number) => string) {
  const all = [...new Set(lines.flatMap((line) => line.steps))].sort((a, b) => a - b);
  const every = Math.ceil(all.length / MOST_ROWS);
  const shown = all.filter((_, k) => k % every === 0);
  const maps = lines.map((line) => new Map(line.steps.map((x, k) => [x, line.values[k]])));
  return {
    columns: [xName, ...lines.map((line) => line.name)],
    rows: shown.map((x) => [
      nameOf(x),
      ...maps.map((map) => {
        const value = map.get(x);
        return value === undefined || value === null ? "" : digits(value);
      }),
    ]),
    note: every > 1 ? `Every ${every}th of ${all.length} points.` : undefined,
  };
}

/** Where a logarithmic axis ends below: gradients go to 0, and the axis cannot. */
export function logFloor(values: number[]): [number, number] {
  const seen = values.filter((v) => v > 0 && Number.isFinite(v));
  const high = Math.max(...seen, 1e-300);
  const low = Math.min(...seen, high);
  return [Math.max(low, high * 1e-16), high === low ? low * 10 : high];
}
