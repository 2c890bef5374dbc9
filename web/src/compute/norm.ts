/** Layer normalisation as the cell has it, and its transposed Jacobian. */

const EPSILON = 1e-5;

interface Moments {
  mean: number;
  inverse: number;
}

function moments(v: Float64Array, used: (k: number) => boolean): Moments {
  let n = 0;
  let mean = 0;
  for (let k = 0; k < v.length; k++) if (used(k)) (n++, (mean += v[k]));
  mean /= n;
  let variance = 0;
  for (let k = 0; k < v.length; k++) if (used(k)) variance += (v[k] - mean) ** 2;
  return { mean, inverse: 1 / Math.sqrt(variance / n + EPSILON) };
}

/** gain * (v - mean) / deviation + shift over the used entries; 0 elsewhere. */
export function normalised(
  v: Float64Array,
  gainShift: Float32Array,
  used: (k: number) => boolean = () => true,
): Float64Array {
  const { mean, inverse } = moments(v, used);
  const n = v.length;
  return v.map((x, k) => (used(k) ? gainShift[k] * (x - mean) * inverse + gainShift[n + k] : 0));
}

/** The gradient of v, given d, that of normalised(v). */
export function throughNorm(
  d: Float64Array,
  v: Float64Array,
  gainShift: Float32Array,
  used: (k: number) => boolean = () => true,
): Float64Array {
  const { mean, inverse } = moments(v, used);
  let n = 0;
  let meanOwn = 0;
  let along = 0;
  for (let k = 0; k < v.length; k++) {
    if (!used(k)) continue;
    const own = d[k] * gainShift[k];
    n++;
    meanOwn += own;
    along += own * (v[k] - mean) * inverse;
  }
  meanOwn /= n;
  along /= n;
  return v.map((x, k) =>
    used(k) ? inverse * (d[k] * gainShift[k] - meanOwn - (x - mean) * inverse * along) : 0,
  );
}
