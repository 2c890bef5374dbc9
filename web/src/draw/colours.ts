/**
 * Colour scales. A gate has a ramp from paper to its own colour; a signed value has a diverging
 * scale from blue over paper to orange, which those who see no red or no green tell apart as well.
 */
import type { Variable } from "../worker/protocol";

type Rgb = [number, number, number];
const hex = (text: string): Rgb => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16)) as Rgb;
const ramp = (...stops: string[]) => stops.map(hex);

const LIGHT: Record<"i" | "f" | "g" | "o", Rgb[]> = {
  i: ramp("#f4f5f5", "#aab4bb", "#2c363d"),
  f: ramp("#f3f7ef", "#92c274", "#1b4a06"),
  g: ramp("#f8f3f9", "#c48fd1", "#511a60"),
  o: ramp("#eef7f8", "#6fbfc6", "#03464d"),
};
const DARK: Record<"i" | "f" | "g" | "o", Rgb[]> = {
  i: ramp("#1d2226", "#6c7882", "#dde4ea"),
  f: ramp("#1a2116", "#4d8a2b", "#c9f2ac"),
  g: ramp("#231b26", "#8f4fa0", "#f0cdf8"),
  o: ramp("#15211f", "#1f8a94", "#b7f2f7"),
};
const SIGNED_LIGHT = ramp(
  "#0b3c75",
  "#3f87c9",
  "#b4d3ea",
  "#f6f5f2",
  "#f3c592",
  "#d97c1f",
  "#7a3500",
);
const SIGNED_DARK = ramp(
  "#a9d3ff",
  "#4f96dc",
  "#234f7d",
  "#1b1f22",
  "#7a4a16",
  "#d98a35",
  "#ffd9a6",
);

function table(stops: Rgb[]): Uint8ClampedArray {
  const out = new Uint8ClampedArray(256 * 3);
  for (let k = 0; k < 256; k++) {
    const at = (k / 255) * (stops.length - 1);
    const first = Math.min(stops.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++) {
      out[3 * k + c] = stops[first][c] + (at - first) * (stops[first + 1][c] - stops[first][c]);
    }
  }
  return out;
}

const tables = new Map<string, Uint8ClampedArray>();
function kept(name: string, stops: Rgb[]): Uint8ClampedArray {
  let found = tables.get(name);
  if (!found) tables.set(name, (found = table(stops)));
  return found;
}

export interface Scale {
  low: number;
  high: number;
  colours: Uint8ClampedArray;
}

/** The scale of a variable whose values go from low to high. */
export function scaleOf(
  variable: Variable | "difference",
  low: number,
  high: number,
  dark: boolean,
): Scale {
  const gate = variable === "i" || variable === "f" || variable === "o";
  if (gate && low >= -1e-6) {
    const colours = kept(variable + dark, (dark ? DARK : LIGHT)[variable]);
    return { low: 0, high: Math.max(1, high), colours };
  }
  const colours = kept(`signed${dark}`, dark ? SIGNED_DARK : SIGNED_LIGHT);
  const end = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const least = variable === "g" ? 1 : 0;
  return { low: -Math.max(least, end), high: Math.max(least, end), colours };
}

export function cssGradient({ colours }: Scale): string {
  const stops = Array.from({ length: 9 }, (_, k) => {
    const at = Math.round((k * 255) / 8) * 3;
    return `rgb(${colours[at]} ${colours[at + 1]} ${colours[at + 2]})`;
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
