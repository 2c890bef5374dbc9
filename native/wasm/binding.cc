// SPDX-License-Identifier: Apache-2.0
// The core's face in WebAssembly, for web/src/kernel/kernel.ts: float32 networks, forward with
// edits and a tape, backward. lstm.h says what is computed.
//
// The page writes structs of 32-bit words and doubles into the module's memory and passes their
// addresses. It checks shapes; the core checks sizes. Handles (Model, Run) are addresses, too, and
// are freed by whoever made them, in any order: a run holds the weights that it ran with.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>
#include <optional>
#include <span>

#include "gatewise/lstm.h"

#define GATEWISE_EXPORT(name) extern "C" __attribute__((export_name(#name)))

namespace {

using gatewise::Network;
using gatewise::Status;
using Parameters = gatewise::Parameters<float>;
using Gradients = gatewise::BackwardArgs<float>::Gradients;

static_assert(sizeof(Parameters) == 9 * sizeof(float*) && sizeof(Gradients) == 8 * sizeof(float*),
              "the page writes them as addresses, one after the other");

// What a call returns: a Status, or this where a handle or a name is unknown, or sizes do not fit.
constexpr int32_t kBadArgument = 4;
static_assert(static_cast<int32_t>(Status::kBadSize) == kBadArgument - 1);

struct Site {
  double function, scale, slope, shift;  // the function by its place in kFunctionNames
};

struct Config {
  int32_t L, D, I, H, projection, peephole, coupled, layer_norm;
  Site sites[5];  // input_gate, forget_gate, candidate, output_gate, cell_output
};

struct Model {
  Network network;
  gatewise::SharedWeights<float> weights;  // null before the first load
};

enum Options { kKeep = 1, kH0 = 2, kC0 = 4 };
enum Array { kX, kInitialH, kInitialC, kY, kLastH, kLastC, kTape, kArrays };

// One call of forward and what belongs to it: inputs, outputs and tape in one piece of memory.
struct Run {
  Network network;
  gatewise::SharedWeights<float> weights;
  int64_t T, B;
  float* arrays[kArrays] = {};  // null where there is none
  std::optional<gatewise::TapeMemory> memory = {};
  bool ran = false, edited = false;

  gatewise::Sequence<float> rows(float* data, int64_t columns) const {
    return {data, B * columns, columns};
  }
  gatewise::Call<float> call() const {
    return {.weights = *weights,
            .T = T,
            .B = B,
            .threads = 1,
            .x = rows(arrays[kX], network.I),
            .h0 = arrays[kInitialH],
            .c0 = arrays[kInitialC]};
  }
  int64_t outputs() const { return network.D * network.P(); }
};

// What the page asks of backward; null: zeros, or not wanted.
struct Wanted {
  const float *dy, *dh_n, *dc_n;
  float *dx, *dh0, *dc0, *gates;
  const Gradients* parameters;  // L * D of them
};

// The core takes what is small first, a few words per layer, and has no answer where that lacks:
// this asks before. volatile, or the compiler sees that the memory is not used.
bool has_small_memory() {
  constexpr size_t kSmall = 1 << 16;
  void* volatile room = std::malloc(kSmall);
  std::free(room);
  return room != nullptr;
}

// At start, while there is memory: the list of what is kept for later calls takes some itself.
[[maybe_unused]] const bool ready = (gatewise::release_memory(), true);

// Calls function; where memory lacks, once more after giving back what is kept for later calls.
template <class Function>
int32_t run_with_memory(Function&& function) {
  const auto once = [&] { return has_small_memory() ? function() : Status::kOutOfMemory; };
  Status status = once();
  if (status == Status::kOutOfMemory) {
    gatewise::release_memory();
    status = once();
  }
  return static_cast<int32_t>(status);
}

bool is_activation(const Site& s) {
  return s.function >= 0 && s.function < gatewise::kFunctions &&
         s.function == std::floor(s.function) && std::isfinite(s.scale) && std::isfinite(s.slope) &&
         std::isfinite(s.shift) && s.scale != 0 && s.slope != 0;
}

gatewise::Activation activation(const Site& s) {
  return {static_cast<gatewise::Function>(s.function), s.scale, s.slope, s.shift};
}

Network network_of(const Config& c) {
  return {.L = c.L,
          .D = c.D,
          .I = c.I,
          .H = c.H,
          .cell = {.input_gate = activation(c.sites[0]),
                   .forget_gate = activation(c.sites[1]),
                   .candidate = activation(c.sites[2]),
                   .output_gate = activation(c.sites[3]),
                   .cell_output = activation(c.sites[4]),
                   .peephole = c.peephole != 0,
                   .coupled = c.coupled != 0,
                   .layer_norm = c.layer_norm != 0},
          .projection = c.projection};
}

bool has_what_the_cell_needs(const Network& n, const Parameters& p) {
  return p.w_ih && p.w_hh && !p.b_ih == !p.b_hh && !p.w_hr == !n.projection &&
         !p.peephole == !n.cell.peephole && !p.norm_ih == !n.cell.layer_norm &&
         !p.norm_hh == !n.cell.layer_norm && !p.norm_c == !n.cell.layer_norm;
}

// Shares one piece of memory out among the arrays of a run.
Status take_memory(Run& run, int32_t options) {
  const Network& n = run.network;
  const int64_t rows = run.T * run.B, states = n.L * n.D * run.B;
  const bool keep = options & kKeep;
  const uint64_t sizes[kArrays] = {
      static_cast<uint64_t>(rows * n.I),
      static_cast<uint64_t>(options & kH0 ? states * n.P() : 0),
      static_cast<uint64_t>(options & kC0 ? states * n.H : 0),
      static_cast<uint64_t>(rows * run.outputs()),
      static_cast<uint64_t>(states * n.P()),
      static_cast<uint64_t>(states * n.H),
      keep ? gatewise::tape_size<float>(*run.weights, run.T, run.B) : 0,
  };
  constexpr uint64_t kLine = 16;  // elements: arrays begin at a cache line
  const auto whole = [](uint64_t size) { return (size + kLine) / kLine * kLine; };  // never empty
  const bool given[kArrays] = {true, (options & kH0) != 0, (options & kC0) != 0, true, true, true,
                               keep};
  uint64_t total = 0;
  for (int k = 0; k < kArrays; ++k) total += given[k] ? whole(sizes[k]) : 0;
  if (total > SIZE_MAX / sizeof(float)) return Status::kOutOfMemory;
  run.memory.emplace(static_cast<size_t>(total) * sizeof(float));
  auto* next = static_cast<float*>(run.memory->data());
  if (!next) return Status::kOutOfMemory;
  for (int k = 0; k < kArrays; ++k) {
    if (!given[k]) continue;
    run.arrays[k] = next;
    next += whole(sizes[k]);
  }
  return Status::kOk;
}

}  // namespace

GATEWISE_EXPORT(allocate) void* allocate(uint32_t bytes) { return std::malloc(bytes); }
GATEWISE_EXPORT(release) void release(void* memory) { std::free(memory); }

// The name of a function of the table in gatewise/cell.py, or null past the last.
GATEWISE_EXPORT(function_name) const char* function_name(int32_t function) {
  return function >= 0 && function < gatewise::kFunctions ? gatewise::kFunctionNames[function]
                                                          : nullptr;
}

GATEWISE_EXPORT(activate)
int32_t activate(const Site* site, int32_t n, const float* x, float* y) {
  if (!is_activation(*site) || n < 0) return kBadArgument;
  gatewise::activate<float>(activation(*site), n, x, y);
  return 0;
}

GATEWISE_EXPORT(model_create) int32_t model_create(const Config* config, Model** model) {
  if (!std::all_of(std::begin(config->sites), std::end(config->sites), is_activation)) {
    return kBadArgument;
  }
  const Network network = network_of(*config);
  if (!gatewise::check(network)) return static_cast<int32_t>(Status::kBadSize);
  *model = new (std::nothrow) Model{network, nullptr};
  return static_cast<int32_t>(*model ? Status::kOk : Status::kOutOfMemory);
}
GATEWISE_EXPORT(model_free) void model_free(Model* model) { delete model; }

// parameters: L * D of them, layer by layer, the forward direction first. They are copied.
GATEWISE_EXPORT(model_load) int32_t model_load(Model* model, const Parameters* parameters) {
  if (!parameters) return kBadArgument;
  const Network& n = model->network;
  const std::span all(parameters, static_cast<size_t>(n.L * n.D));
  for (const Parameters& p : all) {
    if (!has_what_the_cell_needs(n, p)) return kBadArgument;
  }
  return run_with_memory([&] {
    auto packed = gatewise::pack<float>(n, all);
    if (!packed) return Status::kOutOfMemory;
    model->weights = std::move(packed);
    return Status::kOk;
  });
}

// A run before it has run; the page then writes its inputs. options: see Options.
GATEWISE_EXPORT(run_create)
int32_t run_create(const Model* model, int32_t T, int32_t B, int32_t options, Run** run) {
  if (!model->weights) return kBadArgument;
  if (!gatewise::check(model->network, T, B)) return static_cast<int32_t>(Status::kBadSize);
  std::unique_ptr<Run> made(new (std::nothrow) Run{model->network, model->weights, T, B});
  if (!made) return static_cast<int32_t>(Status::kOutOfMemory);
  const int32_t status = run_with_memory([&] { return take_memory(*made, options); });
  if (status == 0) *run = made.release();
  return status;
}
GATEWISE_EXPORT(run_free) void run_free(Run* run) { delete run; }

// Where an array lies, by its place in Array; null where the run has none.
GATEWISE_EXPORT(run_array) float* run_array(Run* run, int32_t which) {
  return which >= 0 && which < kArrays ? run->arrays[which] : nullptr;
}

// edits: [L * D, T, B, H] each or null, in the order of gatewise::Edits; or null for none.
GATEWISE_EXPORT(run_forward)
int32_t run_forward(Run* run, const gatewise::Edits<float>* edits) {
  run->ran = false;
  const int32_t status = run_with_memory([&] {
    gatewise::Call<float> call = run->call();
    if (edits) call.edits = *edits;
    return gatewise::forward<float>({.call = call,
                                     .y = run->rows(run->arrays[kY], run->outputs()),
                                     .h_n = run->arrays[kLastH],
                                     .c_n = run->arrays[kLastC],
                                     .tape = run->arrays[kTape]});
  });
  run->ran = status == 0;
  run->edited = edits && edits->any();
  return status;
}

// activity: [L * D, T, B, H] each or null, in the order of gatewise::Activity.
GATEWISE_EXPORT(run_read)
int32_t run_read(const Run* run, const gatewise::Activity<float>* activity) {
  if (!run->ran || !run->arrays[kTape]) return kBadArgument;
  return run_with_memory(
      [&] { return gatewise::read_tape<float>(run->call(), run->arrays[kTape], *activity); });
}

GATEWISE_EXPORT(run_backward) int32_t run_backward(const Run* run, const Wanted* wanted) {
  if (!run->ran || run->edited || !run->arrays[kTape] || !wanted->parameters) return kBadArgument;
  const Network& n = run->network;
  return run_with_memory([&] {
    return gatewise::backward<float>(
        {.call = run->call(),
         .y = run->rows(run->arrays[kY], run->outputs()),
         .tape = run->arrays[kTape],
         .dy = run->rows(const_cast<float*>(wanted->dy), run->outputs()),
         .dh_n = wanted->dh_n,
         .dc_n = wanted->dc_n,
         .dx = run->rows(wanted->dx, n.I),
         .dh0 = wanted->dh0,
         .dc0 = wanted->dc0,
         .gradients = {wanted->parameters, static_cast<size_t>(n.L * n.D)},
         .gate_gradients = wanted->gates});
  });
}
