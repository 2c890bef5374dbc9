/** The linear layer on h, with the loss of its outputs and the gradients of both. */
import type { Batch } from "./tasks";

export interface Judged {
  loss: number;
  dy: Float32Array; // [T, B, H]
  dWeight: Float32Array; // [K, H]
  dBias: Float32Array; // [K]
  /** Part of the sequences in which every output that counts is right. */
  right: number;
}

export function judge(
  y: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  batch: Batch,
  loss: "squared" | "softmax",
  within: number,
): Judged {
  const { T, B, counts, target } = batch;
  const K = bias.length;
  const H = weight.length / K;
  const dy = new Float32Array(T * B * H);
  const dWeight = new Float32Array(K * H);
  const dBias = new Float32Array(K);
  const wrong = new Uint8Array(B);
  const out = new Float64Array(K);
  const delta = new Float64Array(K);
  let total = 0;
  let n = 0;
  for (const v of counts) n += v;
  for (let at = 0; at < T * B; at++) {
    if (!counts[at]) continue;
    for (let k = 0; k < K; k++) {
      let sum = bias[k];
      for (let u = 0; u < H; u++) sum += weight[k * H + u] * y[at * H + u];
      out[k] = sum;
    }
    const wanted = target.subarray(at * K, (at + 1) * K);
    if (loss === "squared") {
      for (let k = 0; k < K; k++) {
        const gap = out[k] - wanted[k];
        total += (gap * gap) / K;
        delta[k] = (2 * gap) / (n * K);
        if (!(Math.abs(gap) < within)) wrong[at % B] = 1;
      }
    } else {
      const top = Math.max(...out);
      let sum = 0;
      for (let k = 0; k < K; k++) sum += Math.exp(out[k] - top);
      for (let k = 0; k < K; k++) {
        const p = Math.exp(out[k] - top) / sum;
        if (wanted[k]) total -= out[k] - top - Math.log(sum);
        delta[k] = (p - wanted[k]) / n;
        if (wanted[k] && !(out[k] >= top)) wrong[at % B] = 1;
      }
    }
    for (let k = 0; k < K; k++) {
      dBias[k] += delta[k];
      for (let u = 0; u < H; u++) {
        dWeight[k * H + u] += delta[k] * y[at * H + u];
        dy[at * H + u] += delta[k] * weight[k * H + u];
      }
    }
  }
  let right = 0;
  for (const w of wrong) right += 1 - w;
  return { loss: total / n, dy, dWeight, dBias, right: right / B };
}
