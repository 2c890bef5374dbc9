/** Which arrays a network has, under the names of gatewise.nn.LSTM's state_dict. */
import type { Network } from "./types.ts";

export interface Parameter {
  name: string;
  length: number;
  /** May be left out, with its twin. */
  optional: boolean;
}

/** What h has of numbers: P. */
export function outputSize(network: Network): number {
  return network.projection || network.hidden;
}

/**
 * Of each layer and direction, in the order of `gatewise::Parameters`; null where the cell lacks
 * one.
 */
export function parametersOf(network: Network): (Parameter | null)[][] {
  const { layers, directions, inputs, hidden: H, projection, cell } = network;
  const P = outputSize(network);
  const all: (Parameter | null)[][] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (let direction = 0; direction < directions; direction++) {
      const suffix = `_l${layer}${direction ? "_reverse" : ""}`;
      const own = (has: boolean, name: string, length: number, optional = false) =>
        has ? { name: name + suffix, length, optional } : null;
      all.push([
        own(true, "weight_ih", 4 * H * (layer ? directions * P : inputs)),
        own(true, "weight_hh", 4 * H * P),
        own(true, "bias_ih", 4 * H, true),
        own(true, "bias_hh", 4 * H, true),
        own(projection > 0, "weight_hr", P * H),
        own(cell.peephole, "weight_peephole", 3 * H),
        own(cell.layer_norm, "norm_ih", 8 * H),
        own(cell.layer_norm, "norm_hh", 8 * H),
        own(cell.layer_norm, "norm_c", 2 * H),
      ]);
    }
  }
  return all;
}
