/* SPDX-License-Identifier: Apache-2.0
 *
 * The native core for C, and for whatever calls C: opaque handles, sizes, and a status from every
 * call that can fail. lstm.h says what the core computes; this header adds nothing to it.
 *
 * Arrays are the caller's, without gaps, in row-major order and aligned to their element, which is
 * `float` or, with GW_FLOAT64, `double`. Gates are stacked in the order i, f, g, o.
 *
 *   T time steps, B batch rows, I input_size, H hidden_size, L layers, D directions,
 *   P proj_size, or H where that is 0
 *
 * A handle of weights may serve many threads at once; a stream serves one at a time.
 */
#ifndef GATEWISE_GATEWISE_H
#define GATEWISE_GATEWISE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* Grows with every incompatible change of this header; compare it with gw_abi_version(). */
#define GW_ABI_VERSION 1
int32_t gw_abi_version(void);

typedef enum gw_status {
  GW_OK = 0,
  GW_OUT_OF_MEMORY,
  GW_CANCELLED,    /* gw_call.stop returned nonzero */
  GW_BAD_SIZE,     /* a size is out of range, or their product overflows */
  GW_BAD_ARGUMENT, /* a null pointer where there must be none, an unknown value, a wrong count */
} gw_status;
/* One English sentence; never null, never freed. */
const char* gw_status_text(gw_status status);

/* The rows of the table in gatewise/cell.py. */
typedef enum gw_function {
  GW_SIGMOID,
  GW_TANH,
  GW_HARD_SIGMOID,
  GW_HARD_TANH,
  GW_RELU,
  GW_SOFTSIGN,
  GW_IDENTITY,
  GW_ONE
} gw_function;

/* y = scale * function(slope * x) + shift; all finite, scale and slope not 0 */
typedef struct gw_activation {
  gw_function function;
  double scale, slope, shift;
} gw_activation;

/* GW_BFLOAT16: arrays of float; weights, inputs and hidden states are rounded where they meet. */
typedef enum gw_precision { GW_FLOAT32, GW_FLOAT64, GW_BFLOAT16 } gw_precision;

typedef struct gw_config {
  int64_t input_size, hidden_size, layers, directions, proj_size;
  gw_precision precision;
  gw_activation input_gate, forget_gate, candidate, output_gate, cell_output;
  int32_t peephole, coupled, layer_norm; /* 0 or 1 */
} gw_config;
/* PyTorch's LSTM: one layer, one direction, no projection, float32. */
void gw_config_init(gw_config* config, int64_t input_size, int64_t hidden_size);

/* Of one layer and direction, as PyTorch stores them. Null where the cell lacks it; each bias may
 * be null. */
typedef struct gw_parameters {
  const void* w_ih;     /* [4H, I], above the first layer [4H, D * P] */
  const void* w_hh;     /* [4H, P] */
  const void* b_ih;     /* [4H] */
  const void* b_hh;     /* [4H] */
  const void* w_hr;     /* [P, H] */
  const void* peephole; /* [3, H]: from c to i, f, o */
  const void* norm_ih;  /* [2, 4H]: gain and shift */
  const void* norm_hh;  /* [2, 4H] */
  const void* norm_c;   /* [2, H] */
} gw_parameters;

typedef struct gw_weights gw_weights;
/* parameters: L * D of them, layer by layer, the forward direction first. They are copied. */
gw_status gw_weights_create(const gw_config* config, const gw_parameters* parameters, size_t count,
                            gw_weights** weights);
void gw_weights_free(gw_weights* weights); /* null: nothing happens */

/* Forward; and, with the same fields, what backward starts from. */
typedef struct gw_call {
  int64_t T, B;
  int32_t threads;     /* at most; below 1: 1 */
  const void* x;       /* [T, B, I] */
  const void *h0, *c0; /* [L * D, B, P], [L * D, B, H], or null for zeros */
  void* y;             /* [T, B, D * P] out */
  void *h_n, *c_n;     /* [L * D, B, P], [L * D, B, H] out */
  void* tape;          /* gw_tape_size bytes, or null: no backward will follow */
  /* Asked between chunks of work, at most once in 50 ms, whether to end the call; may be null. */
  int32_t (*stop)(void* context);
  void* context;
} gw_call;
gw_status gw_tape_size(const gw_weights* weights, int64_t T, int64_t B, size_t* bytes);
gw_status gw_forward(const gw_weights* weights, const gw_call* call);

/* Of one layer and direction, out, of the shapes of gw_parameters. Null: not wanted. */
typedef struct gw_parameter_gradients {
  void *dw_ih, *dw_hh;
  void* db; /* the gradient of b_ih, and of b_hh */
  void *dw_hr, *dpeephole, *dnorm_ih, *dnorm_hh, *dnorm_c;
} gw_parameter_gradients;
typedef struct gw_gradients {
  const void* dy;                           /* [T, B, D * P], or null for zeros */
  const void *dh_n, *dc_n;                  /* of the shapes of h_n and c_n, or null for zeros */
  void* dx;                                 /* [T, B, I] out; as all outputs, null: not wanted */
  void *dh0, *dc0;                          /* of the shapes of h0 and c0, out */
  const gw_parameter_gradients* parameters; /* null: none is wanted */
  size_t count;                             /* L * D; 0 without parameters */
} gw_gradients;
/* call: as forward had it, y and tape as forward left them. */
gw_status gw_backward(const gw_weights* weights, const gw_call* call,
                      const gw_gradients* gradients);

/* One step at a time with the state inside; one direction only. The weights may be freed. */
typedef struct gw_stream gw_stream;
gw_status gw_stream_create(const gw_weights* weights, int64_t B, gw_stream** stream);
void gw_stream_free(gw_stream* stream);
gw_status gw_stream_step(gw_stream* stream, const void* x, void* y);      /* [B, I] -> [B, P] */
gw_status gw_stream_get_state(const gw_stream* stream, void* h, void* c); /* [L, B, P], [L, B, H] */
gw_status gw_stream_set_state(gw_stream* stream, const void* h, const void* c); /* null: zeros */

/* "avx512", "avx512bf16", "avx2", "neon" or "portable". Choose before weights are made. */
const char* gw_isa_name(void);
const char* gw_isa_available(void); /* separated by blanks, best first */
gw_status gw_isa_select(const char* name);

/* Gives back memory that is kept for later calls. */
void gw_release_memory(void);

#if defined(__cplusplus)
}
#endif
#endif
