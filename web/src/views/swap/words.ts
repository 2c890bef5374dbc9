/** What the five sites are called in sentences. */
import type { Site } from "../../kernel/types";

export const SITE_WORDS: Record<Site, string> = {
  input_gate: "the input gate σ(i)",
  forget_gate: "the forget gate σ(f)",
  candidate: "the first tanh, on the candidate g,",
  output_gate: "the output gate σ(o)",
  cell_output: "the second tanh, on the cell state c,",
};
