// The Python face of the core: hand over addresses, release the GIL, call. Only gatewise._native
// and its users call it, with sizes and strides that they have checked; numbers that come as
// integers are addresses (0: not given). A stream checks its arrays itself, since a step has no
// time for Python to do it.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
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

template <class Real>
gatewise::Sequence<Real> sequence(Address data, int64_t time_stride, int64_t batch_stride) {
  return {at<Real>(data), time_stride, batch_stride};
}

Address address_at(const nb::tuple& addresses, size_t k) { return nb::cast<Address>(addresses[k]); }

// What forward has packed; backward and streams share it.
template <class Real>
class PackedWeights {
 public:
  PackedWeights(gatewise::SharedWeights<Real> weights, const gatewise::Network& network)
      : weights_(std::move(weights)), network_(network) {}

  size_t tape_size(int64_t T, int64_t B, int64_t checkpoint_every) const {
    return gatewise::tape_size(*weights_, T, B, checkpoint_every);
  }

  // A tensor of that size, from memory that is used again.
  auto tape(int64_t T, int64_t B, int64_t checkpoint_every) const {
    const size_t size = tape_size(T, B, checkpoint_every);
    auto memory = std::make_unique<gatewise::TapeMemory>(size * sizeof(Real));
    void* data = memory->data();
    const nb::capsule owner(memory.release(),
                            [](void* p) noexcept { delete static_cast<gatewise::TapeMemory*>(p); });
    return nb::ndarray<nb::pytorch, Real, nb::ndim<1>>(data, {size}, owner);
  }

  void forward(int64_t T, int64_t B, int threads, Address x, int64_t x_time, int64_t x_batch,
               Address h0, Address c0, Address y, int64_t y_time, int64_t y_batch, Address h_n,
               Address c_n, Address tape, int64_t checkpoint_every) const {
    const nb::gil_scoped_release release;
    gatewise::forward<Real>({*weights_, T, B, threads, sequence<const Real>(x, x_time, x_batch),
                             at<const Real>(h0), at<const Real>(c0),
                             sequence<Real>(y, y_time, y_batch), at<Real>(h_n), at<Real>(c_n),
                             at<Real>(tape), checkpoint_every});
  }

  // gradients: of each layer and direction dw_ih, dw_hh, db.
  void backward(int64_t T, int64_t B, int threads, Address x, int64_t x_time, int64_t x_batch,
                Address h0, Address c0, Address y, int64_t y_time, int64_t y_batch, Address tape,
                Address dy, int64_t dy_time, int64_t dy_batch, Address dh_n, Address dc_n,
                Address dx, int64_t dx_time, int64_t dx_batch, Address dh0, Address dc0,
                const nb::tuple& gradients, int64_t checkpoint_every) const {
    std::vector<typename gatewise::BackwardArgs<Real>::Gradients> out;
    for (size_t k = 0; k + 2 < gradients.size(); k += 3) {
      out.push_back({at<Real>(address_at(gradients, k)), at<Real>(address_at(gradients, k + 1)),
                     at<Real>(address_at(gradients, k + 2))});
    }
    const nb::gil_scoped_release release;
    gatewise::backward<Real>({*weights_, T, B, threads, sequence<const Real>(x, x_time, x_batch),
                              at<const Real>(h0), at<const Real>(c0),
                              sequence<const Real>(y, y_time, y_batch), at<const Real>(tape),
                              sequence<const Real>(dy, dy_time, dy_batch), at<const Real>(dh_n),
                              at<const Real>(dc_n), sequence<Real>(dx, dx_time, dx_batch),
                              at<Real>(dh0), at<Real>(dc0), out, checkpoint_every});
  }

  gatewise::Stream<Real> stream(int64_t B) const { return {weights_, B}; }
  const gatewise::Network& network() const { return network_; }

 private:
  gatewise::SharedWeights<Real> weights_;
  gatewise::Network network_;
};

// parameters: of each layer and direction w_ih, w_hh, b_ih, b_hh.
template <class Real>
PackedWeights<Real> pack(gatewise::WeightsCache<Real>& cache, const nb::tuple& parameters) {
  std::vector<gatewise::Parameters<Real>> in;
  for (size_t k = 0; k + 3 < parameters.size(); k += 4) {
    in.push_back({at<const Real>(address_at(parameters, k)),
                  at<const Real>(address_at(parameters, k + 1)),
                  at<const Real>(address_at(parameters, k + 2)),
                  at<const Real>(address_at(parameters, k + 3))});
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

// False, and nothing done, if an array does not fit: x [B, I] or [I], out [B, H] or [H].
template <class Real>
bool step(gatewise::Stream<Real>& stream, nb::handle x, nb::handle out, int threads) {
  const Buffer<Real> in(x, PyBUF_SIMPLE), to(out, PyBUF_WRITABLE);
  const int64_t B = stream.batch(), I = stream.network().I, H = stream.network().H;
  const bool one = B == 1 && in.fits({I}) && to.fits({H});
  if (!one && !(in.fits({B, I}) && to.fits({B, H}))) return false;
  stream.step(in.data(), to.data(), threads);
  return true;
}

// Whole sequences from zero states; false, and nothing done, if an array does not fit:
// x [T, B, I], y [T, B, D * H], h_n and c_n [L * D, B, H].
template <class Real>
bool run(const PackedWeights<Real>& weights, nb::handle x, nb::handle y, nb::handle h_n,
         nb::handle c_n, int threads) {
  const Buffer<Real> in(x, PyBUF_SIMPLE), to(y, PyBUF_WRITABLE), h(h_n, PyBUF_WRITABLE),
      c(c_n, PyBUF_WRITABLE);
  const auto& [L, D, I, H, bfloat16] = weights.network();
  static_cast<void>(bfloat16);
  const int64_t T = in.axis(0), B = in.axis(1);
  if (!in.fits({T, B, I}) || !to.fits({T, B, D * H}) || !h.fits({L * D, B, H}) ||
      !c.fits({L * D, B, H})) {
    return false;
  }
  const auto address = [](const Buffer<Real>& a) { return reinterpret_cast<Address>(a.data()); };
  weights.forward(T, B, threads, address(in), B * I, I, 0, 0, address(to), B * D * H, D * H,
                  address(h), address(c), 0, 0);
  return true;
}

template <class Real>
using Vector = nb::ndarray<Real, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class Real>
void activate(const std::string& name, Vector<const Real> x, Vector<Real> y) {
  if (name != "sigmoid" && name != "tanh") {
    throw nb::value_error("activate: expected 'sigmoid' or 'tanh'");
  }
  if (x.shape(0) != y.shape(0)) throw nb::value_error("activate: y must be as long as x");
  const auto which = name == "tanh" ? gatewise::Activation::kTanh : gatewise::Activation::kSigmoid;
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
      .def("tape_size", &Packed::tape_size, "T"_a, "B"_a, "checkpoint_every"_a)
      .def("tape", &Packed::tape, "T"_a, "B"_a, "checkpoint_every"_a)
      .def("forward", &Packed::forward)
      .def("run", run<Real>, "x"_a, "y"_a, "h_n"_a, "c_n"_a, "threads"_a)
      .def("backward", &Packed::backward)
      .def("stream", &Packed::stream, "B"_a);
  nb::class_<Cache>(m, cache, "Packs weights when they have changed; see lstm.h.")
      .def(
          "__init__",
          [](Cache* self, int64_t L, int64_t D, int64_t I, int64_t H, bool bfloat16) {
            new (self) Cache(gatewise::Network{L, D, I, H, bfloat16});
          },
          "L"_a, "D"_a, "I"_a, "H"_a, "bfloat16"_a = false)
      .def("pack", pack<Real>, "parameters"_a);
  // An output must not be converted: the converted copy would be written and lost.
  m.def("activate", activate<Real>, "name"_a, nb::arg("x").noconvert(), nb::arg("y").noconvert(),
        "y = sigmoid(x) or tanh(x), as the kernels compute it.");
}

}  // namespace

NB_MODULE(_core, m) {
  nb::set_leak_warnings(false);  // graphs alive at exit hold weights: no fault of ours
  m.doc() = "Bindings of the native core; see native/include/gatewise/lstm.h.";
  m.attr("MAX_ACTIVATION_ULP") = gatewise::kMaxActivationUlp;
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
