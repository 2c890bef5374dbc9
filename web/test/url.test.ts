/** The address holds the state, and a broken address holds none. */
import { describe, expect, it } from "vitest";
import { choosesUnit, decode, encode, START, type State } from "../src/state/url";

const FULL: State = {
  view: "swap",
  model: "trained",
  series: 2,
  layer: 1,
  unit: 7,
  step: 31,
  zoom: [10, 40],
  sort: "memory",
  gradientOf: "readout",
  swaps: { cell_output: "identity", candidate: "softsign" },
  edits: [
    { what: "f", value: 1, from: 20, layer: 0, unit: null },
    { what: "c", value: -0.5, from: 3, layer: 1, unit: 4 },
  ],
  training: {
    task: "counting",
    seed: 12,
    forgetBias: -1.5,
    changes: [{ site: "cell_output", function: "one", at: 300 }],
  },
  trained: 400,
  verdict: "supported",
  tour: 3,
};

describe("state in the address", () => {
  it("comes back as it was", () => {
    expect(decode(encode(FULL))).toEqual(FULL);
    expect(decode(encode(START))).toEqual(START);
  });

  it("is short where nothing was chosen", () => {
    expect(encode(START)).toBe("#view=cell&unit=0&step=0");
    expect(choosesUnit(encode(START))).toBe(true);
    expect(choosesUnit("#view=time&model=1")).toBe(false);
  });

  it.each([
    "",
    "#",
    "#view=<script>&model=-1&unit=1e9&step=abc&zoom=9-3&sort=__proto__",
    "#swap=constructor.tanh;cell_output.eval&edit=x~1~2~3~4;f~NaN~0~0~0;f~~1~1~1",
    "#train=toString~x~1e99&change=candidate&tour=99999999999&view=%E0%A4%A",
  ])("falls back to the start: %s", (fragment) => {
    expect(decode(fragment)).toEqual(START);
  });
});
