/** Numbers as people read them. */

/** Four significant digits, with a real minus sign. */
export function digits(value: number, n = 4): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  return value.toPrecision(n).replaceAll("-", "−").replace("e+", "e");
}

/** Fewer digits, for axes and text. */
export const short = (value: number) => {
  if (value === 0 || !Number.isFinite(value)) return digits(value);
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3)
    return value.toExponential(0).replace("-", "−").replace("e-", "e−");
  return String(Number(value.toPrecision(3))).replace("-", "−");
};

export const signed = (value: number, n = 3) => (value >= 0 ? "+" : "") + digits(value, n);

export const count = (value: number) => value.toLocaleString("en");
