/** What a model makes of the h of its last layer: a linear layer, or two with a tanh between. */

export interface Readout {
  hidden?: { weight: Float32Array; bias: Float32Array };
  weight: Float32Array;
  bias: Float32Array;
  names: string[];
}

/** weight x + bias. */
function linear(weight: Float32Array, bias: Float32Array, x: ArrayLike<number>): number[] {
  return Array.from(bias, (b, r) => {
    let sum = b;
    for (let k = 0; k < x.length; k++) sum += weight[r * x.length + k] * x[k];
    return sum;
  });
}

/** The outputs for h of the last layer, both directions. */
export function told({ hidden, weight, bias }: Readout, h: ArrayLike<number>): number[] {
  return linear(weight, bias, hidden ? linear(hidden.weight, hidden.bias, h).map(Math.tanh) : h);
}

/** Their slopes [O, h] at h: the weights themselves where there is no tanh. */
export function slopes({ hidden, weight, bias }: Readout, h: ArrayLike<number>): Float32Array {
  if (!hidden) return weight;
  const bend = linear(hidden.weight, hidden.bias, h).map((v) => 1 - Math.tanh(v) ** 2);
  const [O, K, n] = [bias.length, bend.length, h.length];
  const out = new Float32Array(O * n);
  for (let o = 0; o < O; o++) {
    for (let k = 0; k < K; k++) {
      const by = weight[o * K + k] * bend[k];
      for (let p = 0; p < n; p++) out[o * n + p] += by * hidden.weight[k * n + p];
    }
  }
  return out;
}
