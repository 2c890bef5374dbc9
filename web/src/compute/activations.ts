/** The table of gatewise.cell: what each activation is, its slope, its range. In float64. */
import type { Activation } from "../kernel/types";

interface Function {
  value: (x: number) => number;
  /** dy/dx, told by y: every function here has a slope that its value decides. */
  slope: (y: number) => number;
  range: [number, number];
  formula: string;
}

const clip = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

export const FUNCTIONS: Record<string, Function> = {
  sigmoid: {
    value: (x) => 1 / (1 + Math.exp(-x)),
    slope: (y) => y * (1 - y),
    range: [0, 1],
    formula: "1/(1 + e⁻ˣ)",
  },
  tanh: { value: Math.tanh, slope: (y) => 1 - y * y, range: [-1, 1], formula: "tanh(x)" },
  hard_sigmoid: {
    value: (x) => clip(x / 6 + 0.5, 0, 1),
    slope: (y) => (y > 0 && y < 1 ? 1 / 6 : 0),
    range: [0, 1],
    formula: "clip(x/6 + ½, 0, 1)",
  },
  hard_tanh: {
    value: (x) => clip(x, -1, 1),
    slope: (y) => (y > -1 && y < 1 ? 1 : 0),
    range: [-1, 1],
    formula: "clip(x, −1, 1)",
  },
  relu: {
    value: (x) => Math.max(x, 0),
    slope: (y) => (y > 0 ? 1 : 0),
    range: [0, Infinity],
    formula: "max(x, 0)",
  },
  softsign: {
    value: (x) => x / (1 + Math.abs(x)),
    slope: (y) => (1 - Math.abs(y)) ** 2,
    range: [-1, 1],
    formula: "x/(1 + |x|)",
  },
  identity: { value: (x) => x, slope: () => 1, range: [-Infinity, Infinity], formula: "x" },
  one: { value: () => 1, slope: () => 0, range: [1, 1], formula: "1" },
};

export const NAMES = Object.keys(FUNCTIONS);

export const plain = (name: string): Activation => ({
  function: name,
  scale: 1,
  slope: 1,
  shift: 0,
});

export function value(a: Activation, x: number): number {
  return a.scale * FUNCTIONS[a.function].value(a.slope * x) + a.shift;
}

/** dy/dx where the activation has the value y. */
export function slopeAt(a: Activation, y: number): number {
  return a.scale * a.slope * FUNCTIONS[a.function].slope((y - a.shift) / a.scale);
}

export function range(a: Activation): [number, number] {
  const ends = FUNCTIONS[a.function].range.map((end) => a.scale * end + a.shift);
  return [Math.min(...ends), Math.max(...ends)];
}

const isPlain = (a: Activation) => a.scale === 1 && a.slope === 1 && a.shift === 0;

const short = (n: number) => String(Number(n.toPrecision(3)));

const letter = (name: string) => (name === "sigmoid" ? "σ" : name.replace("_", " "));

/** As a title: tanh, or 2 tanh(0.5 x) + 1. */
export function named(a: Activation): string {
  return isPlain(a) ? letter(a.function) : applied(a, "x");
}

/** As equations write it, with its argument. */
export function applied(a: Activation, to: string): string {
  const scale = a.scale === 1 ? "" : `${short(a.scale)} `;
  const inner = a.slope === 1 ? to : `${short(a.slope)} ${to.length > 1 ? `(${to})` : to}`;
  const shift = a.shift ? (a.shift > 0 ? ` + ${short(a.shift)}` : ` − ${short(-a.shift)}`) : "";
  return `${scale}${letter(a.function)}(${inner})${shift}`;
}
