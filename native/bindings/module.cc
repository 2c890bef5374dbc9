// The Python face of the core: hand over addresses, release the GIL, call. Only gatewise._native
// and its users call it, with sizes and strides that they have checked; numbers that come as
// integers are addresses (0: not given). A stream checks its arrays itself, since a step has no
// time for Python to do it.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gatewise/lstm.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Address = uintptr_t;

template <class Real>
Real* at(Address address) {
  return reinterpret_cast<Real*>(address);
}

using gatewise::Ragged;

// A Ragged, or None.
const Ragged* ragged_in(nb::handle object) {
  return object.is_none() ? nullptr : nb::cast<const Ragged*>(object);
}

template <class Real>
gatewise::Sequence<Real> sequence(Address data, int64_t time_stride, int64_t batch_stride,
                                  const Ragged* ragged) {
  return {at<Real>(data), time_stride, batch_stride, ragged};
}

// None, or addresses of recurrent_mask, zoneout_h and zoneout_c, and the two rates.
template <class Real>
gatewise::Noise<Real> noise_in(nb::handle object) {
  if (object.is_none()) return {};
  const auto parts = nb::cast<nb::tuple>(object);
  const auto address = [&](size_t k) { return at<const Real>(nb::cast<Address>(parts[k])); };
  const auto rate = [&](size_t k) { return static_cast<Real>(nb::cast<double>(parts[k])); };
  return {address(0), address(1), address(2), rate(3), rate(4)};
}

// Addresses, one after the other.
template <class Real>
class Addresses {
 public:
  explicit Addresses(const nb::tuple& addresses) : addresses_(addresses) {}
  bool more() const { return next_ < addresses_.size(); }
  Real* take(bool given = true) {
    return given ? at<Real>(nb::cast<Address>(addresses_[next_++])) : nullptr;
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

  size_t tape_size(int64_t T, int64_t B, int64_t checkpoint_every, nb::handle ragged) const {
    return gatewise::tape_size(*weights_, T, B, checkpoint_every, ragged_in(ragged));
  }

  // A tensor of that size, from memory that is used again.
  auto tape(int64_t T, int64_t B, int64_t checkpoint_every, nb::handle ragged) const {
    const size_t size = tape_size(T, B, checkpoint_every, ragged);
    auto memory = std::make_unique<gatewise::TapeMemory>(size * sizeof(Real));
    void* data = memory->data();
    const nb::capsule owner(memory.release(),
                            [](void* p) noexcept { delete static_cast<gatewise::TapeMemory*>(p); });
    return nb::ndarray<nb::pytorch, Real, nb::ndim<1>>(data, {size}, owner);
  }

  void forward(int64_t T, int64_t B, int threads, Address x, int64_t x_time, int64_t x_batch,
               Address h0, Address c0, Address y, int64_t y_time, int64_t y_batch, Address h_n,
               Address c_n, Address tape, int64_t checkpoint_every, nb::handle ragged_or_none,
               nb::handle noise_or_none) const {
    const Ragged* ragged = ragged_in(ragged_or_none);
    const gatewise::Noise<Real> noise = noise_in<Real>(noise_or_none);
    const nb::gil_scoped_release release;
    gatewise::forward<Real>(
        {*weights_, T, B, threads, sequence<const Real>(x, x_time, x_batch, ragged),
         at<const Real>(h0), at<const Real>(c0), sequence<Real>(y, y_time, y_batch, ragged),
         at<Real>(h_n), at<Real>(c_n), at<Real>(tape), checkpoint_every, ragged, noise});
  }

  // gradients: of each layer and direction dw_ih, dw_hh, db, and those of what else the cell has.
  void backward(int64_t T, int64_t B, int threads, Address x, int64_t x_time, int64_t x_batch,
                Address h0, Address c0, Address y, int64_t y_time, int64_t y_batch, Address tape,
                Address dy, int64_t dy_time, int64_t dy_batch, Address dh_n, Address dc_n,
                Address dx, int64_t dx_time, int64_t dx_batch, Address dh0, Address dc0,
                const nb::tuple& gradients, int64_t checkpoint_every, nb::handle ragged_or_none,
                nb::handle noise_or_none) const {
    const Ragged* ragged = ragged_in(ragged_or_none);
    const gatewise::Noise<Real> noise = noise_in<Real>(noise_or_none);
    std::vector<typename gatewise::BackwardArgs<Real>::Gradients> out;
    const gatewise::Cell& cell = network_.cell;
    for (Addresses<Real> next(gradients); next.more();) {
      out.push_back({.dw_ih = next.take(),
                     .dw_hh = next.take(),
                     .db = next.take(),
                     .dw_hr = next.take(network_.projection),
                     .dpeephole = next.take(cell.peephole),
                     .dnorm_ih = next.take(cell.layer_norm),
                     .dnorm_hh = next.take(cell.layer_norm),
                     .dnorm_c = next.take(cell.layer_norm)});
    }
    const nb::gil_scoped_release release;
    gatewise::backward<Real>(
        {*weights_, T, B, threads, sequence<const Real>(x, x_time, x_batch, ragged),
         at<const Real>(h0), at<const Real>(c0), sequence<const Real>(y, y_time, y_batch, ragged),
         at<const Real>(tape), sequence<const Real>(dy, dy_time, dy_batch, ragged),
         at<const Real>(dh_n), at<const Real>(dc_n), sequence<Real>(dx, dx_time, dx_batch, ragged),
         at<Real>(dh0), at<Real>(dc0), out, checkpoint_every, ragged, noise});
  }

  // rates: of zoneout.
  gatewise::Stream<Real> stream(int64_t B, Real rate_h, Real rate_c) const {
    return {weights_, B, {rate_h, rate_c}};
  }
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
  for (Addresses<const Real> next(parameters); next.more();) {
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
  const nb::gil_scoped_release release;
  return {cache.get(in), cache.network()};
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

  // Whether it is of the right type and shape.
  bool fits(std::initializer_list<int64_t> shape) const {
    constexpr char kFormat = sizeof(Real) == sizeof(float) ? 'f' : 'd';
    return valid_ && view_.format[0] == kFormat && view_.format[1] == '\0' &&
           std::equal(shape.begin(), shape.end(), view_.shape, view_.shape + view_.ndim);
  }
  int64_t axis(int k) const { return valid_ && k < view_.ndim ? view_.shape[k] : -1; }
  Real* data() const { return static_cast<Real*>(view_.buf); }

 private:
  Py_buffer view_;
  const bool valid_;
};

// False, and nothing done, if an array does not fit: x [B, I] or [I], out [B, P] or [P].
template <class Real>
bool step(gatewise::Stream<Real>& stream, nb::handle x, nb::handle out, int threads) {
  const Buffer<Real> in(x, PyBUF_SIMPLE), to(out, PyBUF_WRITABLE);
  const int64_t B = stream.batch(), I = stream.network().I, P = stream.network().P();
  const bool one = B == 1 && in.fits({I}) && to.fits({P});
  if (!one && !(in.fits({B, I}) && to.fits({B, P}))) return false;
  stream.step(in.data(), to.data(), threads);
  return true;
}

// Whole sequences from zero states; false, and nothing done, if an array does not fit:
// x [T, B, I], y [T, B, D * P], h_n [L * D, B, P], c_n [L * D, B, H].
template <class Real>
bool run(const PackedWeights<Real>& weights, nb::handle x, nb::handle y, nb::handle h_n,
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
  weights.forward(T, B, threads, address(in), B * I, I, 0, 0, address(to), B * D * P, D * P,
                  address(h), address(c), 0, 0, nb::none(), nb::none());
  return true;
}

template <class Real>
using Vector = nb::ndarray<Real, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Names of the activations, in the order of their enumeration.
constexpr std::array<std::string_view, 8> kActivations = {
    "sigmoid", "tanh", "hard_sigmoid", "hard_tanh", "relu", "softsign", "identity", "one"};

gatewise::Activation activation(nb::handle name) {
  const auto wanted = nb::cast<std::string>(name);
  const auto found = std::find(kActivations.begin(), kActivations.end(), wanted);
  if (found == kActivations.end()) throw nb::value_error("no such activation");
  return static_cast<gatewise::Activation>(found - kActivations.begin());
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
void activate(const std::string& name, Vector<const Real> x, Vector<Real> y) {
  if (x.shape(0) != y.shape(0)) throw nb::value_error("activate: y must be as long as x");
  const auto which = activation(nb::cast(name));
  const nb::gil_scoped_release release;
  gatewise::activate<Real>(which, static_cast<int64_t>(x.shape(0)), x.data(), y.data());
}

template <class Real>
void bind(nb::module_& m, const char* cache, const char* weights, const char* stream) {
  using Cache = gatewise::WeightsCache<Real>;
  using Packed = PackedWeights<Real>;
  using Stream = gatewise::Stream<Real>;
  nb::class_<Stream>(m, stream, "One step at a time; see lstm.h.")
      .def("step", step<Real>, "x"_a, "out"_a, "threads"_a)
      .def("get_state",
           [](const Stream& s, Address h, Address c) { s.get_state(at<Real>(h), at<Real>(c)); })
      .def("set_state", [](Stream& s, Address h, Address c) {
        s.set_state(at<const Real>(h), at<const Real>(c));
      });
  nb::class_<Packed>(m, weights, "Packed weights of a network; see lstm.h.")
      .def("tape_size", &Packed::tape_size, "T"_a, "B"_a, "checkpoint_every"_a = 0,
           "ragged"_a = nb::none())
      .def("tape", &Packed::tape, "T"_a, "B"_a, "checkpoint_every"_a = 0, "ragged"_a = nb::none())
      .def("forward", &Packed::forward, "T"_a, "B"_a, "threads"_a, "x"_a, "x_time"_a, "x_batch"_a,
           "h0"_a, "c0"_a, "y"_a, "y_time"_a, "y_batch"_a, "h_n"_a, "c_n"_a, "tape"_a,
           "checkpoint_every"_a, "ragged"_a.none(), "noise"_a.none())
      .def("run", run<Real>, "x"_a, "y"_a, "h_n"_a, "c_n"_a, "threads"_a)
      .def("backward", &Packed::backward, "T"_a, "B"_a, "threads"_a, "x"_a, "x_time"_a, "x_batch"_a,
           "h0"_a, "c0"_a, "y"_a, "y_time"_a, "y_batch"_a, "tape"_a, "dy"_a, "dy_time"_a,
           "dy_batch"_a, "dh_n"_a, "dc_n"_a, "dx"_a, "dx_time"_a, "dx_batch"_a, "dh0"_a, "dc0"_a,
           "gradients"_a, "checkpoint_every"_a, "ragged"_a.none(), "noise"_a.none())
      .def("stream", &Packed::stream, "B"_a, "rate_h"_a = 0, "rate_c"_a = 0);
  nb::class_<Cache>(m, cache, "Packs weights when they have changed; see lstm.h.")
      .def(
          "__init__",
          [](Cache* self, int64_t L, int64_t D, int64_t I, int64_t H, bool bfloat16,
             const nb::tuple& cell, int64_t projection) {
            new (self) Cache(gatewise::Network{L, D, I, H, bfloat16, make_cell(cell), projection});
          },
          "L"_a, "D"_a, "I"_a, "H"_a, "bfloat16"_a = false, "cell"_a = nb::tuple(),
          "projection"_a = 0)
      .def("pack", pack<Real>, "parameters"_a);
  // An output must not be converted: the converted copy would be written and lost.
  m.def("activate", activate<Real>, "name"_a, nb::arg("x").noconvert(), nb::arg("y").noconvert(),
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
  m.def(
      "is_well_packed",
      [](Address batch_sizes, size_t T, int64_t N) {
        return gatewise::is_well_packed(std::span(at<const int64_t>(batch_sizes), T), N);
      },
      "batch_sizes"_a, "T"_a, "N"_a, "Whether these T sizes can be those of N rows; see lstm.h.");
  m.def("isa_name", [] { return std::string(gatewise::isa_name()); }, "Instruction set in use.");
  m.def(
      "isa_available", [] { return std::string(gatewise::isa_available()); },
      "Instruction sets that this machine runs, best first, separated by blanks.");
  m.def(
      "isa_select", [](const std::string& name) { return gatewise::isa_select(name.c_str()); },
      "name"_a, "Choose an instruction set; False if this machine does not run it.");
  m.def("fma_peak_gflops", gatewise::fma_peak_gflops,
        "What one thread reaches with multiply-adds alone, in GFLOP/s of float32.");
  bind<float>(m, "CacheF32", "WeightsF32", "StreamF32");
  bind<double>(m, "CacheF64", "WeightsF64", "StreamF64");
}
