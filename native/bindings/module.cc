// The Python face of the core: check, release the GIL, call. Takes anything that speaks DLPack
// (NumPy arrays, torch tensors); gatewise._native and its users give the errors that people read.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <string>

#include "gatewise/lstm.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class Real, int kAxes>
using Array = nb::ndarray<Real, nb::ndim<kAxes>, nb::device::cpu>;
template <class Real, int kAxes>
using Dense = nb::ndarray<Real, nb::ndim<kAxes>, nb::c_contig, nb::device::cpu>;

void require(bool ok, const char* fault) {
  if (!ok) throw nb::value_error(fault);
}

template <class Real, class Any>
gatewise::Sequence<Real> sequence(const Any& a, int64_t T, int64_t B, int64_t N,
                                  const char* fault) {
  require(static_cast<int64_t>(a.shape(0)) == T && static_cast<int64_t>(a.shape(1)) == B &&
              static_cast<int64_t>(a.shape(2)) == N &&
              (a.size() == 0 || N == 1 || a.stride(2) == 1),
          fault);
  return {a.data(), a.stride(0), a.stride(1)};
}

template <class Any>
auto* matrix(const Any& a, int64_t rows, int64_t columns, const char* fault) {
  require(static_cast<int64_t>(a.shape(0)) == rows && static_cast<int64_t>(a.shape(1)) == columns,
          fault);
  return a.data();
}

template <class Any>
auto* optional_vector(const std::optional<Any>& a, int64_t size, const char* fault) {
  require(!a || static_cast<int64_t>(a->shape(0)) == size, fault);
  return a ? a->data() : nullptr;
}

template <class Real>
gatewise::Parameters<Real> parameters(const gatewise::Shape& s, const Dense<const Real, 2>& w_ih,
                                      const Dense<const Real, 2>& w_hh,
                                      const std::optional<Dense<const Real, 1>>& b_ih,
                                      const std::optional<Dense<const Real, 1>>& b_hh) {
  return {matrix(w_ih, 4 * s.H, s.I, "w_ih: expected [4H, I]"),
          matrix(w_hh, 4 * s.H, s.H, "w_hh: expected [4H, H]"),
          optional_vector(b_ih, 4 * s.H, "b_ih: expected [4H]"),
          optional_vector(b_hh, 4 * s.H, "b_hh: expected [4H]")};
}

template <class Real>
gatewise::Shape shape_of(const Array<const Real, 3>& x, const Dense<const Real, 2>& c0) {
  return {static_cast<int64_t>(x.shape(0)), static_cast<int64_t>(x.shape(1)),
          static_cast<int64_t>(x.shape(2)), static_cast<int64_t>(c0.shape(1))};
}

template <class Real>
void forward(Array<const Real, 3> x, Dense<const Real, 2> h0, Dense<const Real, 2> c0,
             Dense<const Real, 2> w_ih, Dense<const Real, 2> w_hh,
             std::optional<Dense<const Real, 1>> b_ih, std::optional<Dense<const Real, 1>> b_hh,
             Array<Real, 3> y, Dense<Real, 2> h_n, Dense<Real, 2> c_n,
             std::optional<Dense<Real, 1>> tape, bool reverse, int threads) {
  const gatewise::Shape s = shape_of<Real>(x, c0);
  const gatewise::ForwardArgs<Real> args{
      .shape = s,
      .reverse = reverse,
      .threads = threads,
      .parameters = parameters<Real>(s, w_ih, w_hh, b_ih, b_hh),
      .x = sequence<const Real>(x, s.T, s.B, s.I, "x: expected [T, B, I] with unit stride"),
      .h0 = matrix(h0, s.B, s.H, "h0: expected [B, H]"),
      .c0 = matrix(c0, s.B, s.H, "c0: expected [B, H]"),
      .y = sequence<Real>(y, s.T, s.B, s.H, "y: expected [T, B, H] with unit stride"),
      .h_n = matrix(h_n, s.B, s.H, "h_n: expected [B, H]"),
      .c_n = matrix(c_n, s.B, s.H, "c_n: expected [B, H]"),
      .tape = optional_vector(tape, static_cast<int64_t>(gatewise::tape_size<Real>(s)),
                              "tape: expected tape_size(T, B, I, H) elements")};
  const nb::gil_scoped_release release;
  gatewise::forward(args);
}

template <class Real>
void backward(Array<const Real, 3> x, Dense<const Real, 2> h0, Dense<const Real, 2> w_ih,
              Dense<const Real, 2> w_hh, Array<const Real, 3> y, Dense<const Real, 1> tape,
              std::optional<Array<const Real, 3>> dy, std::optional<Dense<const Real, 2>> dh_n,
              std::optional<Dense<const Real, 2>> dc_n, std::optional<Array<Real, 3>> dx,
              Dense<Real, 2> dh0, Dense<Real, 2> dc0, Dense<Real, 2> dw_ih, Dense<Real, 2> dw_hh,
              Dense<Real, 1> db, bool reverse, int threads) {
  const gatewise::Shape s = shape_of<Real>(x, h0);
  require(tape.shape(0) == gatewise::tape_size<Real>(s), "tape: not of this shape");
  require(static_cast<int64_t>(db.shape(0)) == 4 * s.H, "db: expected [4H]");
  const gatewise::BackwardArgs<Real> args{
      .shape = s,
      .reverse = reverse,
      .threads = threads,
      .parameters = parameters<Real>(s, w_ih, w_hh, std::nullopt, std::nullopt),
      .x = sequence<const Real>(x, s.T, s.B, s.I, "x: expected [T, B, I] with unit stride"),
      .h0 = matrix(h0, s.B, s.H, "h0: expected [B, H]"),
      .y = sequence<const Real>(y, s.T, s.B, s.H, "y: expected [T, B, H] with unit stride"),
      .tape = tape.data(),
      .dy = dy ? sequence<const Real>(*dy, s.T, s.B, s.H, "dy: expected [T, B, H], unit stride")
               : gatewise::Sequence<const Real>{},
      .dh_n = dh_n ? matrix(*dh_n, s.B, s.H, "dh_n: expected [B, H]") : nullptr,
      .dc_n = dc_n ? matrix(*dc_n, s.B, s.H, "dc_n: expected [B, H]") : nullptr,
      .dx = dx ? sequence<Real>(*dx, s.T, s.B, s.I, "dx: expected [T, B, I] with unit stride")
               : gatewise::Sequence<Real>{},
      .dh0 = matrix(dh0, s.B, s.H, "dh0: expected [B, H]"),
      .dc0 = matrix(dc0, s.B, s.H, "dc0: expected [B, H]"),
      .dw_ih = matrix(dw_ih, 4 * s.H, s.I, "dw_ih: expected [4H, I]"),
      .dw_hh = matrix(dw_hh, 4 * s.H, s.H, "dw_hh: expected [4H, H]"),
      .db = db.data()};
  const nb::gil_scoped_release release;
  gatewise::backward(args);
}

template <class Real>
void activate(const std::string& name, Dense<const Real, 1> x, Dense<Real, 1> y) {
  require(name == "sigmoid" || name == "tanh", "activate: expected 'sigmoid' or 'tanh'");
  require(x.shape(0) == y.shape(0), "activate: y must be as long as x");
  const auto which = name == "tanh" ? gatewise::Activation::kTanh : gatewise::Activation::kSigmoid;
  const nb::gil_scoped_release release;
  gatewise::activate<Real>(which, static_cast<int64_t>(x.shape(0)), x.data(), y.data());
}

// Outputs must not be converted: a converted copy would be written and lost. Inputs must not be
// either: a silent copy per call, or other numbers than were given.
auto given(const char* name) { return nb::arg(name).noconvert(); }
auto optional(const char* name) { return given(name).none(); }

template <class Real>
void bind(nb::module_& m) {
  m.def("forward", forward<Real>, given("x"), given("h0"), given("c0"), given("w_ih"),
        given("w_hh"), optional("b_ih"), optional("b_hh"), given("y"), given("h_n"), given("c_n"),
        optional("tape"), "reverse"_a, "threads"_a, "Run one layer in one direction; see lstm.h.");
  m.def("backward", backward<Real>, given("x"), given("h0"), given("w_ih"), given("w_hh"),
        given("y"), given("tape"), optional("dy"), optional("dh_n"), optional("dc_n"),
        optional("dx"), given("dh0"), given("dc0"), given("dw_ih"), given("dw_hh"), given("db"),
        "reverse"_a, "threads"_a, "Back-propagate one layer; see lstm.h.");
  m.def("activate", activate<Real>, "name"_a, given("x"), given("y"),
        "y = sigmoid(x) or tanh(x), as the kernels compute it.");
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "Bindings of the native core; see native/include/gatewise/lstm.h.";
  m.attr("MAX_ACTIVATION_ULP") = gatewise::kMaxActivationUlp;
  m.def("isa_name", [] { return std::string(gatewise::isa_name()); }, "Instruction set in use.");
  m.def(
      "isa_available", [] { return std::string(gatewise::isa_available()); },
      "Instruction sets that this machine runs, best first, separated by blanks.");
  m.def(
      "isa_select", [](const std::string& name) { return gatewise::isa_select(name.c_str()); },
      "name"_a, "Choose an instruction set; False if this machine does not run it.");
  m.def(
      "tape_size",
      [](int64_t T, int64_t B, int64_t I, int64_t H, bool is_double) {
        const gatewise::Shape s{T, B, I, H};
        return is_double ? gatewise::tape_size<double>(s) : gatewise::tape_size<float>(s);
      },
      "T"_a, "B"_a, "I"_a, "H"_a, "is_double"_a, "Elements that forward keeps for backward.");
  bind<float>(m);
  bind<double>(m);
}
