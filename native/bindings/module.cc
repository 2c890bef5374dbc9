// SPDX-License-Identifier: Apache-2.0
// The Python face of the core: take addresses, release the GIL, call. Only gatewise._native and its
// users call it, with shapes and strides that they have checked; an address of 0 means "not given".
// Streams and `run` check their arrays themselves, since a step has no time for Python to do it.
//
// Whatever the core refuses becomes an exception: bad sizes a ValueError, lack of memory a
// MemoryError, a call that a signal ended the signal's own.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gatewise/lstm.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Address = uintptr_t;
using gatewise::Ragged;
// Address, stride of time, stride of batch (of a ragged batch: of its rows).
using Rows = std::tuple<Address, int64_t, int64_t>;

template <class Real>
Real* at(Address address) {
  return reinterpret_cast<Real*>(address);
}

// Ctrl-C ends a long call: Python's handlers run between chunks of it.
bool signalled(void*) {
  const nb::gil_scoped_acquire acquire;
  return PyErr_CheckSignals() != 0;
}

void raise_unless_ok(gatewise::Status status) {
  switch (status) {
    case gatewise::Status::kOk:
      return;
    case gatewise::Status::kOutOfMemory:
      throw std::bad_alloc();
    case gatewise::Status::kCancelled:
      throw nb::python_error();  // which the handler has set
    case gatewise::Status::kBadSize:
      throw nb::value_error("a size is out of range, or a product of sizes overflows");
  }
}

// Calls function without the GIL; what it returns becomes an exception with the GIL.
template <class Function>
void without_gil(Function&& function) {
  gatewise::Status status;
  {
    const nb::gil_scoped_release release;
    status = function();
  }
  raise_unless_ok(status);
}

// What disturbs the states: addresses of the masks, and rates. See gatewise::Noise.
struct NoiseFields {
  Address recurrent_mask = 0, zoneout_h = 0, zoneout_c = 0;
  double rate_h = 0, rate_c = 0;
  template <class Real>
  gatewise::Noise<Real> as() const {
    return {at<const Real>(recurrent_mask), at<const Real>(zoneout_h), at<const Real>(zoneout_c),
            static_cast<Real>(rate_h), static_cast<Real>(rate_c)};
  }
};

// What forward and backward share: gatewise::Call but for the weights. The caller keeps ragged
// alive.
struct CallFields {
  int64_t T, B;
  int threads;
  Rows x;
  Address h0, c0;
  int64_t checkpoint_every;
  const Ragged* ragged;
  std::optional<NoiseFields> noise;

  template <class Real>
  gatewise::Sequence<Real> sequence(const Rows& rows) const {
    return {at<Real>(std::get<0>(rows)), std::get<1>(rows), std::get<2>(rows), ragged};
  }
  template <class Real>
  gatewise::Call<Real> with(const gatewise::Weights<Real>& weights) const {
    return {.weights = weights,
            .T = T,
            .B = B,
            .threads = threads,
            .x = sequence<const Real>(x),
            .h0 = at<const Real>(h0),
            .c0 = at<const Real>(c0),
            .checkpoint_every = checkpoint_every,
            .ragged = ragged,
            .noise = noise ? noise->as<Real>() : gatewise::Noise<Real>{},
            .poll = {signalled, nullptr}};
  }
};

// Addresses of arrays of each layer and direction, one after the other.
template <class Real>
class Addresses {
 public:
  explicit Addresses(const nb::tuple& addresses) : addresses_(addresses) {}
  bool more() const { return next_ < addresses_.size(); }
  Real* take(bool given = true) {
    if (!given) return nullptr;
    if (!more()) throw nb::value_error("not as many arrays as the network has");
    return at<Real>(nb::cast<Address>(addresses_[next_++]));
  }

 private:
  const nb::tuple& addresses_;
  size_t next_ = 0;
};

// What forward has packed; backward and streams share it.
template <class Real>
class PackedWeights {
 public:
  PackedWeights(gatewise::SharedWeights<Real> weights, const gatewise::Network& network)
      : weights_(std::move(weights)), network_(network) {}

  size_t tape_size(int64_t T, int64_t B, int64_t checkpoint_every, const Ragged* ragged) const {
    if (!gatewise::check(network_, T, B)) raise_unless_ok(gatewise::Status::kBadSize);
    return gatewise::tape_size(*weights_, T, B, checkpoint_every, ragged);
  }

  // A tensor of that size, from memory that is used again.
  auto tape(int64_t T, int64_t B, int64_t checkpoint_every, const Ragged* ragged) const {
    const size_t size = tape_size(T, B, checkpoint_every, ragged);
    auto memory = std::make_unique<gatewise::TapeMemory>(size * sizeof(Real));
    void* data = memory->data();
    if (!data) throw std::bad_alloc();
    const nb::capsule owner(memory.release(),
                            [](void* p) noexcept { delete static_cast<gatewise::TapeMemory*>(p); });
    return nb::ndarray<nb::pytorch, Real, nb::ndim<1>>(data, {size}, owner);
  }

  void forward(const CallFields& call, const Rows& y, Address h_n, Address c_n,
               Address tape) const {
    without_gil([&] {
      return gatewise::forward<Real>({.call = call.with<Real>(*weights_),
                                      .y = call.sequence<Real>(y),
                                      .h_n = at<Real>(h_n),
                                      .c_n = at<Real>(c_n),
                                      .tape = at<Real>(tape)});
    });
  }

  // gradients: of each layer and direction dw_ih, dw_hh, db, and those of what else the cell has;
  // an address of 0: not wanted.
  void backward(const CallFields& call, const Rows& y, Address tape, const Rows& dy, Address dh_n,
                Address dc_n, const Rows& dx, Address dh0, Address dc0,
                const nb::tuple& gradients) const {
    std::vector<typename gatewise::BackwardArgs<Real>::Gradients> out;
    const gatewise::Cell& cell = network_.cell;
    Addresses<Real> next(gradients);
    for (int64_t k = 0; k < network_.L * network_.D; ++k) {
      out.push_back({.dw_ih = next.take(),
                     .dw_hh = next.take(),
                     .db = next.take(),
                     .dw_hr = next.take(network_.projection),
                     .dpeephole = next.take(cell.peephole),
                     .dnorm_ih = next.take(cell.layer_norm),
                     .dnorm_hh = next.take(cell.layer_norm),
                     .dnorm_c = next.take(cell.layer_norm)});
    }
    without_gil([&] {
      return gatewise::backward<Real>({.call = call.with<Real>(*weights_),
                                       .y = call.sequence<const Real>(y),
                                       .tape = at<const Real>(tape),
                                       .dy = call.sequence<const Real>(dy),
                                       .dh_n = at<const Real>(dh_n),
                                       .dc_n = at<const Real>(dc_n),
                                       .dx = call.sequence<Real>(dx),
                                       .dh0 = at<Real>(dh0),
                                       .dc0 = at<Real>(dc0),
                                       .gradients = out});
    });
  }

  const gatewise::SharedWeights<Real>& shared() const { return weights_; }
  const gatewise::Network& network() const { return network_; }

 private:
  gatewise::SharedWeights<Real> weights_;
  gatewise::Network network_;
};

// parameters: of each layer and direction w_ih, w_hh, b_ih, b_hh, and what else the cell has.
template <class Real>
PackedWeights<Real> pack(gatewise::WeightsCache<Real>& cache, const nb::tuple& parameters) {
  std::vector<gatewise::Parameters<Real>> in;
  const gatewise::Network& network = cache.network();
  const gatewise::Cell& cell = network.cell;
  Addresses<const Real> next(parameters);
  for (int64_t k = 0; k < network.L * network.D; ++k) {
    in.push_back({.w_ih = next.take(),
                  .w_hh = next.take(),
                  .b_ih = next.take(),
                  .b_hh = next.take(),
                  .w_hr = next.take(network.projection),
                  .peephole = next.take(cell.peephole),
                  .norm_ih = next.take(cell.layer_norm),
                  .norm_hh = next.take(cell.layer_norm),
                  .norm_c = next.take(cell.layer_norm)});
  }
  gatewise::SharedWeights<Real> packed;
  {
    const nb::gil_scoped_release release;
    packed = cache.get(in);
  }
  if (!packed) throw std::bad_alloc();
  return {std::move(packed), network};
}

// A C-contiguous array through the buffer protocol, which takes no memory.
template <class Real>
class Buffer {
 public:
  Buffer(nb::handle array, int flags)
      : valid_(PyObject_GetBuffer(array.ptr(), &view_, flags | PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) ==
               0) {
    if (!valid_) PyErr_Clear();
  }
  ~Buffer() {
    if (valid_) PyBuffer_Release(&view_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  // Whether it is of the right type and shape, and aligned to its element.
  bool fits(std::initializer_list<int64_t> shape) const {
    constexpr char kFormat = sizeof(Real) == sizeof(float) ? 'f' : 'd';
    return valid_ && view_.format[0] == kFormat && view_.format[1] == '\0' &&
           reinterpret_cast<Address>(view_.buf) % alignof(Real) == 0 &&
           std::equal(shape.begin(), shape.end(), view_.shape, view_.shape + view_.ndim);
  }
  int64_t axis(int k) const { return valid_ && k < view_.ndim ? view_.shape[k] : -1; }
  Real* data() const { return static_cast<Real*>(view_.buf); }

 private:
  Py_buffer view_;
  const bool valid_;
};

// A stream that says so when two threads use it at once.
template <class Real>
class GuardedStream {
 public:
  explicit GuardedStream(std::unique_ptr<gatewise::Stream<Real>> stream)
      : stream_(std::move(stream)) {
    const gatewise::Network& n = stream_->network();
    constexpr double kWorthReleasing = 2e5;  // operations: a few microseconds
    operations_ = 8.0 * static_cast<double>(n.L) * static_cast<double>(stream_->batch()) *
                  static_cast<double>(n.H) * static_cast<double>(n.inputs(1) + n.P());
    releases_ = operations_ > kWorthReleasing;
  }

  // Runs function(stream) alone.
  template <class Function>
  void use(Function&& function) {
    if (busy_.exchange(true, std::memory_order_acquire)) {
      throw std::runtime_error(
          "another thread uses this stream: expected one at a time. Make a stream per thread.");
    }
    if (releases_) {
      const nb::gil_scoped_release release;
      function(*stream_);
    } else {
      function(*stream_);
    }
    busy_.store(false, std::memory_order_release);
  }
  const gatewise::Stream<Real>& stream() const { return *stream_; }

 private:
  std::unique_ptr<gatewise::Stream<Real>> stream_;
  double operations_ = 0;
  bool releases_ = false;
  std::atomic<bool> busy_{false};
};

// rates: of zoneout.
template <class Real>
std::unique_ptr<GuardedStream<Real>> make_stream(const PackedWeights<Real>& weights, int64_t B,
                                                 Real rate_h, Real rate_c) {
  if (B < 1 || weights.network().D != 1 || !gatewise::check(weights.network(), 1, B)) {
    raise_unless_ok(gatewise::Status::kBadSize);
  }
  auto made = gatewise::Stream<Real>::make(weights.shared(), B, {rate_h, rate_c});
  if (!made) throw std::bad_alloc();
  return std::make_unique<GuardedStream<Real>>(std::move(made));
}

// False, and nothing done, if an array does not fit: x [B, I] or [I], out [B, P] or [P].
template <class Real>
bool try_step(GuardedStream<Real>& guarded, nb::handle x, nb::handle out, int threads) {
  const Buffer<Real> in(x, PyBUF_SIMPLE), to(out, PyBUF_WRITABLE);
  const auto& stream = guarded.stream();
  const int64_t B = stream.batch(), I = stream.network().I, P = stream.network().P();
  const bool one = B == 1 && in.fits({I}) && to.fits({P});
  if (!one && !(in.fits({B, I}) && to.fits({B, P}))) return false;
  guarded.use([&](auto& s) { s.step(in.data(), to.data(), threads); });
  return true;
}
template <class Real>
void step(GuardedStream<Real>& guarded, nb::handle x, nb::handle out, int threads) {
  if (!try_step(guarded, x, out, threads)) {
    throw nb::value_error("step: x or out has another shape or dtype, gaps, or is not aligned");
  }
}

// Whole sequences from zero states; false, and nothing done, if an array does not fit:
// x [T, B, I], y [T, B, D * P], h_n [L * D, B, P], c_n [L * D, B, H].
template <class Real>
bool try_run(const PackedWeights<Real>& weights, nb::handle x, nb::handle y, nb::handle h_n,
             nb::handle c_n, int threads) {
  const Buffer<Real> in(x, PyBUF_SIMPLE), to(y, PyBUF_WRITABLE), h(h_n, PyBUF_WRITABLE),
      c(c_n, PyBUF_WRITABLE);
  const gatewise::Network& net = weights.network();
  const int64_t T = in.axis(0), B = in.axis(1), I = net.I, H = net.H, P = net.P(), D = net.D;
  if (!in.fits({T, B, I}) || !to.fits({T, B, D * P}) || !h.fits({net.L * D, B, P}) ||
      !c.fits({net.L * D, B, H})) {
    return false;
  }
  const auto address = [](const Buffer<Real>& a) { return reinterpret_cast<Address>(a.data()); };
  const CallFields call{T, B, threads, {address(in), B * I, I}, 0, 0, 0, nullptr, std::nullopt};
  weights.forward(call, {address(to), B * D * P, D * P}, address(h), address(c), 0);
  return true;
}

template <class Real>
using Vector = nb::ndarray<Real, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// A site: the name of a function, or (name, scale, slope, shift).
gatewise::Activation activation(nb::handle site) {
  if (nb::isinstance<nb::tuple>(site)) {
    const auto parts = nb::cast<nb::tuple>(site);
    gatewise::Activation made = activation(parts[0]);
    made.scale = nb::cast<double>(parts[1]);
    made.slope = nb::cast<double>(parts[2]);
    made.shift = nb::cast<double>(parts[3]);
    return made;
  }
  const auto wanted = nb::cast<std::string>(site);
  const auto* found = std::find(std::begin(gatewise::kFunctionNames),
                                std::end(gatewise::kFunctionNames), std::string_view(wanted));
  if (found == std::end(gatewise::kFunctionNames)) throw nb::value_error("no such activation");
  return static_cast<gatewise::Function>(found - std::begin(gatewise::kFunctionNames));
}

// The five activations in the order of SITES, then the three switches.
gatewise::Cell make_cell(const nb::tuple& fields) {
  if (fields.size() == 0) return {};
  return {.input_gate = activation(fields[0]),
          .forget_gate = activation(fields[1]),
          .candidate = activation(fields[2]),
          .output_gate = activation(fields[3]),
          .cell_output = activation(fields[4]),
          .peephole = nb::cast<bool>(fields[5]),
          .coupled = nb::cast<bool>(fields[6]),
          .layer_norm = nb::cast<bool>(fields[7])};
}

template <class Real>
void activate(nb::handle site, Vector<const Real> x, Vector<Real> y) {
  if (x.shape(0) != y.shape(0)) throw nb::value_error("activate: y must be as long as x");
  const auto which = activation(site);
  const nb::gil_scoped_release release;
  gatewise::activate<Real>(which, static_cast<int64_t>(x.shape(0)), x.data(), y.data());
}

template <class Real>
void bind(nb::module_& m, const char* cache, const char* weights, const char* stream) {
  using Cache = gatewise::WeightsCache<Real>;
  using Packed = PackedWeights<Real>;
  using Stream = GuardedStream<Real>;
  nb::class_<Stream>(m, stream, "One step at a time; see lstm.h.")
      .def("step", step<Real>, "x"_a, "out"_a, "threads"_a)
      .def("try_step", try_step<Real>, "x"_a, "out"_a, "threads"_a)
      .def(
          "get_state",
          [](Stream& s, Address h, Address c) {
            s.use([&](auto& own) { own.get_state(at<Real>(h), at<Real>(c)); });
          },
          "h"_a, "c"_a)
      .def(
          "set_state",
          [](Stream& s, Address h, Address c) {
            s.use([&](auto& own) { own.set_state(at<const Real>(h), at<const Real>(c)); });
          },
          "h"_a, "c"_a);
  nb::class_<Packed>(m, weights, "Packed weights of a network; see lstm.h.")
      .def("tape_size", &Packed::tape_size, "T"_a, "B"_a, "checkpoint_every"_a = 0,
           "ragged"_a.none() = nb::none())
      .def("tape", &Packed::tape, "T"_a, "B"_a, "checkpoint_every"_a = 0,
           "ragged"_a.none() = nb::none())
      .def("forward", &Packed::forward, "call"_a, nb::kw_only(), "y"_a, "h_n"_a, "c_n"_a, "tape"_a)
      .def("try_run", try_run<Real>, "x"_a, "y"_a, "h_n"_a, "c_n"_a, "threads"_a)
      .def("backward", &Packed::backward, "call"_a, nb::kw_only(), "y"_a, "tape"_a, "dy"_a,
           "dh_n"_a, "dc_n"_a, "dx"_a, "dh0"_a, "dc0"_a, "gradients"_a)
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
      .def("pack", pack<Real>, "parameters"_a);
  // An output must not be converted: the converted copy would be written and lost.
  m.def("activate", activate<Real>, "site"_a, nb::arg("x").noconvert(), nb::arg("y").noconvert(),
        "y = an activation of x, as the kernels compute it.");
}

}  // namespace

NB_MODULE(_core, m) {
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
  nb::class_<CallFields>(m, "Call", "What forward and backward share; see gatewise::Call in lstm.h.")
      .def(
          "__init__",
          [](CallFields* self, int64_t T, int64_t B, int threads, const Rows& x, Address h0,
             Address c0, int64_t checkpoint_every, const Ragged* ragged, const NoiseFields* noise) {
            new (self) CallFields{T, B, threads, x, h0, c0, checkpoint_every, ragged,
                                  noise ? std::optional(*noise) : std::nullopt};
          },
          nb::kw_only(), "T"_a, "B"_a, "threads"_a, "x"_a, "h0"_a, "c0"_a, "checkpoint_every"_a = 0,
          "ragged"_a.none() = nb::none(), "noise"_a.none() = nb::none(), nb::keep_alive<1, 9>());
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
  m.def("release_memory", gatewise::release_memory,
        "Give back the memory that is kept for later calls and not in use.");
  bind<float>(m, "CacheF32", "WeightsF32", "StreamF32");
  bind<double>(m, "CacheF64", "WeightsF64", "StreamF64");
}
