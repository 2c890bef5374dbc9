/** Where everything stands in the diagram of the cell: wide, and for a narrow screen. */

export interface Point {
  x: number;
  y: number;
}

export type Wire =
  "cPrev" | "cKept" | "c" | "f" | "i" | "g" | "o" | "ig" | "toPsi" | "psi" | "h" | "in";

export interface Layout {
  width: number;
  /** Where the picture begins. */
  top: number;
  height: number;
  box: { width: number; height: number };
  /** Centres of the boxes with the curves. */
  boxes: Record<"f" | "i" | "g" | "o" | "psi", Point>;
  /** Where values are multiplied and added. */
  nodes: Record<"forget" | "add" | "enter" | "output", Point>;
  /** Wires as SVG paths; the arrow of each is at its end. */
  wires: Record<Wire, string[]>;
  /** Where each value is written. */
  labels: Record<"cPrev" | "c" | "f" | "i" | "g" | "o" | "ig" | "psi" | "h" | "hPrev" | "x", Point>;
  anchor: Partial<Record<keyof Layout["labels"], "start" | "middle" | "end">>;
  /** "Only x and + here". */
  note: Point;
  text: number;
}

export const WIDE: Layout = {
  width: 1040,
  top: 24,
  height: 420,
  box: { width: 134, height: 104 },
  boxes: {
    f: { x: 212, y: 290 },
    i: { x: 388, y: 290 },
    g: { x: 564, y: 290 },
    o: { x: 740, y: 290 },
    psi: { x: 880, y: 158 },
  },
  nodes: {
    forget: { x: 212, y: 62 },
    add: { x: 476, y: 62 },
    enter: { x: 476, y: 172 },
    output: { x: 880, y: 290 },
  },
  wires: {
    cPrev: ["M20 62H198"],
    cKept: ["M226 62H462"],
    c: ["M490 62H1020"],
    f: ["M212 238V76"],
    i: ["M388 238V172H462"],
    g: ["M564 238V172H490"],
    o: ["M807 290H866"],
    ig: ["M476 158V76"],
    toPsi: ["M880 62V106"],
    psi: ["M880 210V276"],
    h: ["M894 290H1020"],
    in: [
      "M20 392H740",
      "M110 430V392",
      "M212 392V342",
      "M388 392V342",
      "M564 392V342",
      "M740 392V342",
    ],
  },
  labels: {
    cPrev: { x: 20, y: 46 },
    c: { x: 1020, y: 46 },
    f: { x: 224, y: 160 },
    i: { x: 380, y: 196 },
    g: { x: 574, y: 196 },
    o: { x: 812, y: 318 },
    ig: { x: 488, y: 124 },
    psi: { x: 892, y: 248 },
    h: { x: 1020, y: 274 },
    hPrev: { x: 20, y: 378 },
    x: { x: 124, y: 436 },
  },
  anchor: { c: "end", h: "end", i: "end" },
  note: { x: 640, y: 46 },
  text: 14,
};

export const NARROW: Layout = {
  width: 390,
  top: 0,
  height: 488,
  box: { width: 88, height: 80 },
  boxes: {
    f: { x: 47, y: 330 },
    i: { x: 145, y: 330 },
    g: { x: 243, y: 330 },
    o: { x: 341, y: 330 },
    psi: { x: 186, y: 62 },
  },
  nodes: {
    forget: { x: 47, y: 168 },
    add: { x: 194, y: 168 },
    enter: { x: 194, y: 246 },
    output: { x: 341, y: 62 },
  },
  wires: {
    cPrev: ["M4 168H35"],
    cKept: ["M59 168H182"],
    c: ["M206 168H386"],
    f: ["M47 290V180"],
    i: ["M145 290V246H182"],
    g: ["M243 290V246H206"],
    o: ["M341 290V74"],
    ig: ["M194 234V180"],
    toPsi: ["M222 168V102"],
    psi: ["M230 62H329"],
    h: ["M341 50V14H386"],
    in: [
      "M4 408H341",
      "M47 408V370",
      "M145 408V370",
      "M243 408V370",
      "M341 408V370",
      "M145 446V408",
    ],
  },
  labels: {
    cPrev: { x: 4, y: 148 },
    c: { x: 386, y: 188 },
    f: { x: 55, y: 212 },
    i: { x: 139, y: 278 },
    g: { x: 249, y: 278 },
    o: { x: 335, y: 236 },
    ig: { x: 200, y: 216 },
    psi: { x: 327, y: 86 },
    h: { x: 330, y: 20 },
    hPrev: { x: 4, y: 428 },
    x: { x: 152, y: 444 },
  },
  anchor: { c: "end", h: "end", i: "end", o: "end", psi: "end" },
  note: { x: 195, y: 476 },
  text: 12.5,
};
