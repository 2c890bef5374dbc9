// SPDX-License-Identifier: Apache-2.0
// The Python face of the core: take addresses, release the GIL, call. Only gatewise._native and its
// users call it, with shapes and strides that they have checked; an address of 0 means "not given".
// `step`, `try_run`, `forward_tensors` and `backward_tensors` check the arrays and tensors that
// they are given themselves, since there is no time for Python to do it; shapes they take on trust.
//
// Whatever the core refuses becomes an exception: bad sizes a ValueError, lack of memory a
// MemoryError, a call that a signal ended the signal's own.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include <span>
#include <string>

#include "calls.h"
#include "group.h"
#include "streams.h"

namespace gatewise::bindings {
namespace {

using namespace nb::literals;

template <class Real>
using Vector = nb::ndarray<Real, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class Real>
void activate(nb::handle site, Vector<const Real> x, Vector<Real> y) {
  if (x.shape(0) != y.shape(0)) throw nb::value_error("activate: y must be as long as x");
  const auto which = activation(site);
  const WithoutGil without_gil;
  gatewise::activate<Real>(which, static_cast<int64_t>(x.shape(0)), x.data(), y.data());
}

template <class Real>
void bind(nb::module_& m, const char* cache, const char* weights, const char* stream,
          const char* group, const char* packed_group) {
  using Cache = gatewise::WeightsCache<Real>;
  using Packed = PackedWeights<Real>;
  using Stream = GuardedStream<Real>;
  nb::class_<Stream>(m, stream, "One step at a time; see lstm.h.")
      .def("step", step<Real>, "x"_a, "out"_a, "threads"_a)
      .def("try_step", try_step<Real>, "x"_a.none(), "out"_a.none(), "threads"_a)
      .def(
          "get_state",
          [](Stream& s, Address h, Address c) {
            s.use([&](auto& own) { own.get_state(at<Real>(h), at<Real>(c)); });
          },
          "h"_a, "c"_a)
      .def(
          "set_state",
          [](Stream& s, Address h, Address c) {
            s.use([&](auto& own) { own.set_state(at<const Real>(h), at<const Real>(c)); }, true);
          },
          "h"_a, "c"_a);
  nb::class_<Packed>(m, weights, "Packed weights of a network; see lstm.h.")
      .def("tape_size", &Packed::tape_size, "T"_a, "B"_a, "checkpoint_every"_a = 0,
           "ragged"_a.none() = nb::none())
      .def("tape_like", tape_like<Real>, "like"_a, "T"_a, "B"_a, "checkpoint_every"_a,
           "ragged"_a.none())
      .def("tape_array", &Packed::tape_array, "T"_a, "B"_a, "checkpoint_every"_a = 0,
           "ragged"_a.none() = nb::none())
      .def_static("pooled_array", &Packed::template pooled<nb::numpy>, "size"_a)
      .def("forward", &Packed::forward, "call"_a, nb::kw_only(), "y"_a, "h_n"_a, "c_n"_a, "tape"_a)
      .def("try_run", try_run<Real>, "x"_a, "y"_a, "h_n"_a, "c_n"_a, "threads"_a)
      .def("backward_tensors", backward_tensors<Real>, "saved"_a, "shapes"_a, "grad_outputs"_a,
           "needs_input_grad"_a, "threads"_a, "checkpoint_every"_a)
      .def(
          "backward",
          [](const Packed& self, const CallFields& call, const Rows& y, Address tape,
             const Rows& dy, Address dh_n, Address dc_n, const Rows& dx, Address dh0, Address dc0,
             const nb::tuple& gradients, Address gate_gradients) {
            self.backward(call, y, tape, dy, dh_n, dc_n, dx, dh0, dc0, addresses_of(gradients),
                          gate_gradients);
          },
          "call"_a, nb::kw_only(), "y"_a, "tape"_a, "dy"_a, "dh_n"_a, "dc_n"_a, "dx"_a, "dh0"_a,
          "dc0"_a, "gradients"_a, "gate_gradients"_a = 0)
      .def("read_tape", &Packed::read_tape, "call"_a, nb::kw_only(), "tape"_a, "input_gate"_a,
           "forget_gate"_a, "candidate"_a, "output_gate"_a, "cell_state"_a)
      .def("stream", make_stream<Real>, "B"_a, "rate_h"_a = 0, "rate_c"_a = 0);
  nb::class_<Cache>(m, cache, "Packs weights when they have changed; see lstm.h.")
      .def(
          "__init__",
          [](Cache* self, int64_t L, int64_t D, int64_t I, int64_t H, bool bfloat16,
             const nb::tuple& cell, int64_t projection) {
            const gatewise::Network network{L, D, I, H, bfloat16, make_cell(cell), projection};
            if (!gatewise::check(network)) raise_unless_ok(gatewise::Status::kBadSize);
            new (self) Cache(network);
          },
          "L"_a, "D"_a, "I"_a, "H"_a, "bfloat16"_a = false, "cell"_a = nb::tuple(),
          "projection"_a = 0)
      .def(
          "pack",
          [](Cache& self, const nb::tuple& parameters) {
            return pack(self, addresses_of(parameters));
          },
          "parameters"_a)
      .def("forward_tensors", forward_tensors<Real>, "tensors"_a, "shapes"_a, "threads"_a, "keep"_a,
           "checkpoint_every"_a, "packed"_a.none() = nb::none());
  nb::class_<PackedGroup<Real>>(m, packed_group, "Their packed weights; see group.h.")
      .def("tape", &PackedGroup<Real>::tape, "T"_a, "B"_a)
      .def("forward", &PackedGroup<Real>::forward, "T"_a, "B"_a, "threads"_a, nb::kw_only(), "x"_a,
           "y"_a, "h_n"_a, "c_n"_a, "tape"_a)
      .def("backward", &PackedGroup<Real>::backward, "T"_a, "B"_a, "threads"_a, nb::kw_only(),
           "x"_a, "y"_a, "tape"_a, "dy"_a, "dx"_a, "gradients"_a);
  nb::class_<Group<Real>>(m, group, "Many networks of one shape at once; see group.h.")
      .def(
          "__init__",
          [](Group<Real>* self, int64_t G, int64_t L, int64_t D, int64_t I, int64_t H,
             const nb::tuple& cell, int64_t projection) {
            const gatewise::Network network{L, D, I, H, false, make_cell(cell), projection};
            if (!gatewise::check(network)) raise_unless_ok(gatewise::Status::kBadSize);
            new (self) Group<Real>(G, network);
          },
          "G"_a, "L"_a, "D"_a, "I"_a, "H"_a, "cell"_a = nb::tuple(), "projection"_a = 0)
      .def("pack", &Group<Real>::pack, "parameters"_a);
  // An output must not be converted: the converted copy would be written and lost.
  m.def("activate", activate<Real>, "site"_a, nb::arg("x").noconvert(), nb::arg("y").noconvert(),
        "y = an activation of x, as the kernels compute it.");
}

}  // namespace
}  // namespace gatewise::bindings

NB_MODULE(_core, m) {
  using namespace gatewise::bindings;
  using namespace nb::literals;
  using gatewise::Ragged;
  find_main_thread();
  nb::set_leak_warnings(false);  // graphs alive at exit hold weights: no fault of ours
  m.doc() = "Bindings of the native core; see native/include/gatewise/lstm.h.";
  m.attr("MAX_ACTIVATION_ULP") = gatewise::kMaxActivationUlp;
  nb::class_<Ragged>(m, "Ragged", "A batch of rows that differ in length; see lstm.h.")
      .def(
          "__init__",
          [](Ragged* self, Address batch_sizes, size_t T) {
            new (self) Ragged(std::span(at<const int64_t>(batch_sizes), T));
          },
          "batch_sizes"_a, "T"_a)
      .def_prop_ro(
          "T", [](const Ragged& self) { return self.rows.size(); }, "Steps.")
      .def_prop_ro("B", [](const Ragged& self) { return self.lengths.size(); }, "Rows.");
  nb::class_<NoiseFields>(m, "Noise", "Masks by address, and rates; see gatewise::Noise in lstm.h.")
      .def(nb::init<Address, Address, Address, double, double>(), nb::kw_only(),
           "recurrent_mask"_a = 0, "zoneout_h"_a = 0, "zoneout_c"_a = 0, "rate_h"_a = 0,
           "rate_c"_a = 0);
  nb::class_<EditFields>(m, "Edits", "What a run is made to do; see gatewise::Edits in lstm.h.")
      .def(nb::init<Address, Address, Address, Address, Address, Address>(), nb::kw_only(),
           "input_gate"_a = 0, "forget_gate"_a = 0, "candidate"_a = 0, "output_gate"_a = 0,
           "cell_state"_a = 0, "cell_output"_a = 0);
  nb::class_<CallFields>(m, "Call",
                         "What forward and backward share; see gatewise::Call in lstm.h.")
      .def(
          "__init__",
          [](CallFields* self, int64_t T, int64_t B, int threads, const Rows& x, Address h0,
             Address c0, int64_t checkpoint_every, const Ragged* ragged, const NoiseFields* noise,
             const EditFields* edits) {
            new (self) CallFields{T,
                                  B,
                                  threads,
                                  x,
                                  h0,
                                  c0,
                                  checkpoint_every,
                                  ragged,
                                  noise ? std::optional(*noise) : std::nullopt,
                                  edits ? std::optional(*edits) : std::nullopt};
          },
          nb::kw_only(), "T"_a, "B"_a, "threads"_a, "x"_a, "h0"_a, "c0"_a, "checkpoint_every"_a = 0,
          "ragged"_a.none() = nb::none(), "noise"_a.none() = nb::none(),
          "edits"_a.none() = nb::none(), nb::keep_alive<1, 9>());
  m.def(
      "is_well_packed",
      [](Address batch_sizes, size_t T, int64_t N) {
        return gatewise::is_well_packed(std::span(at<const int64_t>(batch_sizes), T), N);
      },
      "batch_sizes"_a, "T"_a, "N"_a, "Whether these T sizes can be those of N rows; see lstm.h.");
  m.def(
      "check",
      [](int64_t L, int64_t D, int64_t I, int64_t H, int64_t projection, int64_t T, int64_t B) {
        return gatewise::check({.L = L, .D = D, .I = I, .H = H, .projection = projection}, T, B);
      },
      "L"_a, "D"_a, "I"_a, "H"_a, "projection"_a = 0, "T"_a = 0, "B"_a = 0,
      "Whether the core can run these sizes; see lstm.h.");
  m.def(
      "functions",
      [] {
        nb::list names;
        for (const char* name : gatewise::kFunctionNames) names.append(nb::str(name));
        return names;
      },
      "Names of the built-in activation functions, in the core's order.");
  m.def(
      "used_gates",
      [](const nb::tuple& cell) {
        const auto used = make_cell(cell).used_gates();
        return nb::make_tuple(used[0], used[1], used[2], used[3]);
      },
      "cell"_a, "Whether the weights of i, f, g, o are used.");
  m.def("isa_name", [] { return std::string(gatewise::isa_name()); }, "Instruction set in use.");
  m.def(
      "isa_available", [] { return std::string(gatewise::isa_available()); },
      "Instruction sets that this machine runs, best first, separated by blanks.");
  m.def(
      "isa_select", [](const std::string& name) { return gatewise::isa_select(name.c_str()); },
      "name"_a, "Choose an instruction set; False if this machine does not run it.");
  m.def("fma_peak_gflops", gatewise::fma_peak_gflops,
        "What one thread reaches with multiply-adds alone, in GFLOP/s of float32.");
  m.def("read_gbs", gatewise::read_gbs, "bytes"_a,
        "What one thread reads of so many bytes again and again, in GB/s.");
  m.def("share_openmp_threads", gatewise::share_openmp_threads,
        "Run calls on the team of the process's OpenMP runtime; False if there is none.");
  m.def("register_tensors", register_tensors, "tensor"_a, "parameter"_a, "empty_like"_a, "lowest"_a,
        "Let tensors of these types be read; see tensors.h.");
  m.def("are_plain", are_plain, "tensors"_a, "shapes"_a, "bits"_a,
        "Whether all are plain, of one dtype, and each of its shape; see tensors.h.");
  m.def("release_memory", gatewise::release_memory,
        "Give back the memory that is kept for later calls and not in use.");
  bind<float>(m, "CacheF32", "WeightsF32", "StreamF32", "GroupF32", "PackedGroupF32");
  bind<double>(m, "CacheF64", "WeightsF64", "StreamF64", "GroupF64", "PackedGroupF64");
}
