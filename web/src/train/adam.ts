/** Adam (Kingma & Ba 2015, algorithm 1), and the clipping of gradients by their common norm. */

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** Scales all of them so that their common norm is at most `most`; returns what it was. */
export function clip(gradients: Float32Array[], most: number): number {
  let squares = 0;
  for (const g of gradients) for (const v of g) squares += v * v;
  const norm = Math.sqrt(squares);
  if (norm > most) {
    for (const g of gradients) for (let k = 0; k < g.length; k++) g[k] *= most / norm;
  }
  return norm;
}

export class Adam {
  private mean: Float64Array[];
  private square: Float64Array[];
  private steps = 0;

  constructor(
    private parameters: Float32Array[],
    private rate: number,
  ) {
    this.mean = parameters.map((p) => new Float64Array(p.length));
    this.square = parameters.map((p) => new Float64Array(p.length));
  }

  step(gradients: Float32Array[]) {
    this.steps++;
    const unbias1 = 1 - BETA1 ** this.steps;
    const unbias2 = 1 - BETA2 ** this.steps;
    this.parameters.forEach((p, n) => {
      const [g, m, v] = [gradients[n], this.mean[n], this.square[n]];
      for (let k = 0; k < p.length; k++) {
        m[k] = BETA1 * m[k] + (1 - BETA1) * g[k];
        v[k] = BETA2 * v[k] + (1 - BETA2) * g[k] * g[k];
        p[k] -= (this.rate * (m[k] / unbias1)) / (Math.sqrt(v[k] / unbias2) + EPSILON);
      }
    });
  }
}
