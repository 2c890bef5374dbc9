/* SPDX-License-Identifier: Apache-2.0
 *
 * An LSTM in C, by gatewise.h alone: whole sequences, one step at a time, and a gradient checked
 * by a difference. Build and run it with `make example-c`.
 */
#include <gatewise/gatewise.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T = 6, B = 2, I = 3, H = 5 };

static int failed(gw_status status, const char* what) {
  if (status != GW_OK) fprintf(stderr, "%s: %s\n", what, gw_status_text(status));
  return status != GW_OK;
}

/* Small numbers that repeat. */
static void fill(float* a, size_t n, unsigned seed) {
  for (size_t k = 0; k < n; ++k) {
    seed = seed * 1664525u + 1013904223u;
    a[k] = (float)(seed >> 8) / 16777216.0f - 0.5f;
  }
}

static float sum(const float* y, size_t n) {
  float s = 0;
  for (size_t k = 0; k < n; ++k) s += y[k];
  return s;
}

int main(void) {
  static float w_ih[4 * H * I], w_hh[4 * H * H], bias[4 * H], x[T * B * I];
  static float y[T * B * H], h[B * H], c[B * H], steps[T * B * H], ones[T * B * H], dx[T * B * I];
  gw_config config;
  gw_weights* weights = NULL;
  gw_stream* stream = NULL;
  size_t bytes = 0;

  if (gw_abi_version() != GW_ABI_VERSION) {
    fprintf(stderr, "gatewise.h is of ABI %d, the library of %d\n", GW_ABI_VERSION,
            (int)gw_abi_version());
    return 1;
  }
  fill(w_ih, 4 * H * I, 1), fill(w_hh, 4 * H * H, 2), fill(bias, 4 * H, 3), fill(x, T * B * I, 4);
  gw_config_init(&config, I, H);
  gw_parameters parameters = {.w_ih = w_ih, .w_hh = w_hh, .b_ih = bias};
  if (failed(gw_weights_create(&config, &parameters, 1, &weights), "weights")) return 1;

  /* Forward, with a tape for backward. */
  if (failed(gw_tape_size(weights, T, B, &bytes), "tape size")) return 1;
  gw_call call = {.T = T, .B = B, .threads = 1, .x = x, .y = y, .h_n = h, .c_n = c};
  void* tape = call.tape = malloc(bytes);
  if (!tape || failed(gw_forward(weights, &call), "forward")) return 1;

  /* The gradient of sum(y) with respect to x. Nobody wants those of the weights. */
  for (int k = 0; k < T * B * H; ++k) ones[k] = 1;
  gw_parameter_gradients none = {0};
  gw_gradients gradients = {.dy = ones, .dx = dx, .parameters = &none, .count = 1};
  if (failed(gw_backward(weights, &call, &gradients), "backward")) return 1;

  /* The same steps one by one: the same bits. */
  if (failed(gw_stream_create(weights, B, &stream), "stream")) return 1;
  for (int t = 0; t < T; ++t) {
    if (failed(gw_stream_step(stream, x + t * B * I, steps + t * B * H), "step")) return 1;
  }
  const int same = memcmp(steps, y, sizeof y) == 0;

  /* A difference in place of the derivative. */
  const float before = sum(y, T * B * H), by = 1e-2f;
  x[0] += by;
  call.tape = NULL;
  if (failed(gw_forward(weights, &call), "forward again")) return 1;
  const float slope = (sum(y, T * B * H) - before) / by;
  const int close = fabsf(slope - dx[0]) < 1e-2f;

  printf("%s: y[T-1] = %.4f ..., steps have %s bits, d sum(y) / dx = %.3f (difference %.3f)\n",
         gw_isa_name(), (double)steps[(T - 1) * B * H], same ? "the same" : "OTHER", (double)dx[0],
         (double)slope);
  free(tape);
  gw_stream_free(stream);
  gw_weights_free(weights);
  return !(same && close);
}
