// SPDX-License-Identifier: Apache-2.0
// gatewise.h on top of lstm.h: checks arguments, turns structs of C into those of C++.
#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

#include "gatewise/gatewise.h"
#include "gatewise/lstm.h"

using gatewise::Network;

static_assert(GW_ONE + 1 == gatewise::kFunctions, "gw_function lists the rows of cell.h");

struct gw_weights {
  Network network;
  bool is_double;
  gatewise::SharedWeights<float> f32;
  gatewise::SharedWeights<double> f64;
};
struct gw_stream {
  std::unique_ptr<gatewise::Stream<float>> f32;
  std::unique_ptr<gatewise::Stream<double>> f64;
};

namespace {

gw_status status_of(gatewise::Status status) {
  switch (status) {
    case gatewise::Status::kOk:
      return GW_OK;
    case gatewise::Status::kOutOfMemory:
      return GW_OUT_OF_MEMORY;
    case gatewise::Status::kCancelled:
      return GW_CANCELLED;
    case gatewise::Status::kBadSize:
      break;
  }
  return GW_BAD_SIZE;
}

// No exception leaves this file. What can throw are small vectors.
template <class Function>
gw_status guarded(Function&& function) {
#if defined(__cpp_exceptions)
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return GW_OUT_OF_MEMORY;
  }
#else
  return function();
#endif
}

// Calls function with the weights of the type at hand.
template <class Function>
gw_status with_weights(const gw_weights* weights, Function&& function) {
  if (!weights) return GW_BAD_ARGUMENT;
  return guarded(
      [&] { return weights->is_double ? function(weights->f64) : function(weights->f32); });
}
template <class Function>
gw_status with_stream(const gw_stream* stream, Function&& function) {
  if (!stream) return GW_BAD_ARGUMENT;
  return stream->f64 ? function(*stream->f64) : function(*stream->f32);
}
bool is_activation(const gw_activation& a) {
  return a.function >= GW_SIGMOID && a.function <= GW_ONE && std::isfinite(a.scale) &&
         std::isfinite(a.slope) && std::isfinite(a.shift) && a.scale != 0 && a.slope != 0;
}
gatewise::Activation activation(const gw_activation& a) {
  return {static_cast<gatewise::Function>(a.function), a.scale, a.slope, a.shift};
}

bool is_valid(const gw_config& c) {
  const gw_activation sites[] = {c.input_gate, c.forget_gate, c.candidate, c.output_gate,
                                 c.cell_output};
  return c.precision >= GW_FLOAT32 && c.precision <= GW_BFLOAT16 &&
         std::all_of(std::begin(sites), std::end(sites), is_activation);
}

Network network_of(const gw_config& c) {
  return {.L = c.layers,
          .D = c.directions,
          .I = c.input_size,
          .H = c.hidden_size,
          .bfloat16 = c.precision == GW_BFLOAT16,
          .cell = {.input_gate = activation(c.input_gate),
                   .forget_gate = activation(c.forget_gate),
                   .candidate = activation(c.candidate),
                   .output_gate = activation(c.output_gate),
                   .cell_output = activation(c.cell_output),
                   .peephole = c.peephole != 0,
                   .coupled = c.coupled != 0,
                   .layer_norm = c.layer_norm != 0},
          .projection = c.proj_size};
}

template <class T>
T* as(void* data) {
  return static_cast<T*>(data);
}
template <class T>
const T* as(const void* data) {
  return static_cast<const T*>(data);
}

bool has_what_the_cell_needs(const Network& n, const gw_parameters& p) {
  const bool norm = n.cell.layer_norm;
  return p.w_ih && p.w_hh && (!n.projection || p.w_hr) && (!n.cell.peephole || p.peephole) &&
         (!norm || (p.norm_ih && p.norm_hh && p.norm_c));
}

template <class Real>
gatewise::SharedWeights<Real> pack(const Network& n, const gw_parameters* parameters,
                                   size_t count) {
  std::vector<gatewise::Parameters<Real>> in;
  const bool norm = n.cell.layer_norm;
  for (const gw_parameters& p : std::span(parameters, count)) {
    in.push_back({.w_ih = as<Real>(p.w_ih),
                  .w_hh = as<Real>(p.w_hh),
                  .b_ih = as<Real>(p.b_ih),
                  .b_hh = as<Real>(p.b_hh),
                  .w_hr = n.projection ? as<Real>(p.w_hr) : nullptr,
                  .peephole = n.cell.peephole ? as<Real>(p.peephole) : nullptr,
                  .norm_ih = norm ? as<Real>(p.norm_ih) : nullptr,
                  .norm_hh = norm ? as<Real>(p.norm_hh) : nullptr,
                  .norm_c = norm ? as<Real>(p.norm_c) : nullptr});
  }
  return gatewise::pack<Real>(n, in);
}

// A C function as the core asks it.
bool asks(void* context) {
  const auto* call = static_cast<const gw_call*>(context);
  return call->stop(call->context) != 0;
}

template <class Real>
gatewise::Call<Real> call_of(const gatewise::Weights<Real>& weights, const Network& n,
                             const gw_call& call) {
  gatewise::Poll poll;
  if (call.stop) poll = {asks, const_cast<gw_call*>(&call)};
  return {.weights = weights,
          .T = call.T,
          .B = call.B,
          .threads = std::max(call.threads, int32_t{1}),
          .x = {as<Real>(call.x), call.B * n.I, n.I},
          .h0 = as<Real>(call.h0),
          .c0 = as<Real>(call.c0),
          .poll = poll};
}

bool is_valid(const gw_call* call) { return call && call->x && call->y && call->h_n && call->c_n; }

}  // namespace

int32_t gw_abi_version(void) { return GW_ABI_VERSION; }

const char* gw_status_text(gw_status status) {
  switch (status) {
    case GW_OK:
      return "The call succeeded.";
    case GW_OUT_OF_MEMORY:
      return "There was not enough memory.";
    case GW_CANCELLED:
      return "The caller ended the call.";
    case GW_BAD_SIZE:
      return "A size is out of range, or a product of sizes overflows.";
    case GW_BAD_ARGUMENT:
      return "An argument is null, unknown or of the wrong count.";
  }
  return "An unknown status.";
}

void gw_config_init(gw_config* config, int64_t input_size, int64_t hidden_size) {
  if (!config) return;
  const gw_activation sigmoid = {GW_SIGMOID, 1, 1, 0}, tanh = {GW_TANH, 1, 1, 0};
  *config = {};
  config->input_size = input_size, config->hidden_size = hidden_size;
  config->layers = config->directions = 1;
  config->input_gate = config->forget_gate = config->output_gate = sigmoid;
  config->candidate = config->cell_output = tanh;
}

gw_status gw_weights_create(const gw_config* config, const gw_parameters* parameters, size_t count,
                            gw_weights** weights) {
  if (!config || !parameters || !weights || !is_valid(*config)) return GW_BAD_ARGUMENT;
  const Network n = network_of(*config);
  if (!gatewise::check(n)) return GW_BAD_SIZE;
  if (count != static_cast<size_t>(n.L * n.D)) return GW_BAD_ARGUMENT;
  for (const gw_parameters& p : std::span(parameters, count)) {
    if (!has_what_the_cell_needs(n, p)) return GW_BAD_ARGUMENT;
  }
  return guarded([&] {
    std::unique_ptr<gw_weights> made(new gw_weights{n, config->precision == GW_FLOAT64, {}, {}});
    if (made->is_double) {
      made->f64 = pack<double>(n, parameters, count);
    } else {
      made->f32 = pack<float>(n, parameters, count);
    }
    if (!made->f32 && !made->f64) return GW_OUT_OF_MEMORY;
    *weights = made.release();
    return GW_OK;
  });
}

void gw_weights_free(gw_weights* weights) { delete weights; }

gw_status gw_tape_size(const gw_weights* weights, int64_t T, int64_t B, size_t* bytes) {
  return with_weights(weights, [&]<class Real>(const gatewise::SharedWeights<Real>& w) {
    if (!bytes) return GW_BAD_ARGUMENT;
    if (!gatewise::check(weights->network, T, B)) return GW_BAD_SIZE;
    *bytes = gatewise::tape_size<Real>(*w, T, B) * sizeof(Real);
    return GW_OK;
  });
}

gw_status gw_forward(const gw_weights* weights, const gw_call* call) {
  return with_weights(weights, [&]<class Real>(const gatewise::SharedWeights<Real>& w) {
    if (!is_valid(call)) return GW_BAD_ARGUMENT;
    const Network& n = weights->network;
    if (!gatewise::check(n, call->T, call->B)) return GW_BAD_SIZE;
    const int64_t columns = n.D * n.P();
    return status_of(gatewise::forward<Real>({.call = call_of<Real>(*w, n, *call),
                                              .y = {as<Real>(call->y), call->B * columns, columns},
                                              .h_n = as<Real>(call->h_n),
                                              .c_n = as<Real>(call->c_n),
                                              .tape = as<Real>(call->tape)}));
  });
}

gw_status gw_backward(const gw_weights* weights, const gw_call* call,
                      const gw_gradients* gradients) {
  return with_weights(weights, [&]<class Real>(const gatewise::SharedWeights<Real>& w) {
    if (!call || !call->x || !call->y || !call->tape || !gradients) return GW_BAD_ARGUMENT;
    const Network& n = weights->network;
    const auto layers = static_cast<size_t>(n.L * n.D);
    if (gradients->count != (gradients->parameters ? layers : 0)) return GW_BAD_ARGUMENT;
    if (!gatewise::check(n, call->T, call->B)) return GW_BAD_SIZE;
    std::vector<typename gatewise::BackwardArgs<Real>::Gradients> out;
    const bool norm = n.cell.layer_norm;
    for (const gw_parameter_gradients& g : std::span(gradients->parameters, gradients->count)) {
      out.push_back({.dw_ih = as<Real>(g.dw_ih),
                     .dw_hh = as<Real>(g.dw_hh),
                     .db = as<Real>(g.db),
                     .dw_hr = n.projection ? as<Real>(g.dw_hr) : nullptr,
                     .dpeephole = n.cell.peephole ? as<Real>(g.dpeephole) : nullptr,
                     .dnorm_ih = norm ? as<Real>(g.dnorm_ih) : nullptr,
                     .dnorm_hh = norm ? as<Real>(g.dnorm_hh) : nullptr,
                     .dnorm_c = norm ? as<Real>(g.dnorm_c) : nullptr});
    }
    out.resize(layers);  // without parameters: none is wanted
    const int64_t columns = n.D * n.P(), B = call->B;
    const auto rows = [&](auto* data, int64_t size) {
      return gatewise::Sequence<std::remove_pointer_t<decltype(data)>>{data, B * size, size};
    };
    return status_of(gatewise::backward<Real>({.call = call_of<Real>(*w, n, *call),
                                               .y = rows(as<const Real>(call->y), columns),
                                               .tape = as<const Real>(call->tape),
                                               .dy = rows(as<Real>(gradients->dy), columns),
                                               .dh_n = as<Real>(gradients->dh_n),
                                               .dc_n = as<Real>(gradients->dc_n),
                                               .dx = rows(as<Real>(gradients->dx), n.I),
                                               .dh0 = as<Real>(gradients->dh0),
                                               .dc0 = as<Real>(gradients->dc0),
                                               .gradients = out}));
  });
}

gw_status gw_stream_create(const gw_weights* weights, int64_t B, gw_stream** stream) {
  return with_weights(weights, [&]<class Real>(const gatewise::SharedWeights<Real>& w) {
    if (!stream) return GW_BAD_ARGUMENT;
    if (!gatewise::check_stream(weights->network, B)) return GW_BAD_SIZE;
    auto made = gatewise::Stream<Real>::make(w, B);
    if (!made) return GW_OUT_OF_MEMORY;
    *stream = new gw_stream;
    if constexpr (sizeof(Real) == sizeof(float)) {
      (*stream)->f32 = std::move(made);
    } else {
      (*stream)->f64 = std::move(made);
    }
    return GW_OK;
  });
}

void gw_stream_free(gw_stream* stream) { delete stream; }

gw_status gw_stream_step(gw_stream* stream, const void* x, void* y) {
  return with_stream(stream, [&]<class Real>(gatewise::Stream<Real>& s) {
    if (!x || !y) return GW_BAD_ARGUMENT;
    s.step(as<Real>(x), as<Real>(y), 1);
    return GW_OK;
  });
}

gw_status gw_stream_get_state(const gw_stream* stream, void* h, void* c) {
  return with_stream(stream, [&]<class Real>(const gatewise::Stream<Real>& s) {
    if (!h || !c) return GW_BAD_ARGUMENT;
    s.get_state(as<Real>(h), as<Real>(c));
    return GW_OK;
  });
}

gw_status gw_stream_set_state(gw_stream* stream, const void* h, const void* c) {
  return with_stream(stream, [&]<class Real>(gatewise::Stream<Real>& s) {
    s.set_state(as<Real>(h), as<Real>(c));
    return GW_OK;
  });
}

const char* gw_isa_name(void) { return gatewise::isa_name(); }
const char* gw_isa_available(void) { return gatewise::isa_available(); }
gw_status gw_isa_select(const char* name) {
  return name && gatewise::isa_select(name) ? GW_OK : GW_BAD_ARGUMENT;
}

void gw_release_memory(void) { gatewise::release_memory(); }
