// The kernels of one instruction set: CMake compiles this file once for each, with GATEWISE_ISA the
// name of the namespace and the compiler's flags to match. Nothing here may be called before
// dispatch.cc has seen that the machine runs it.
#include "kernels.h"

#include "backward.h"

#define GATEWISE_STRING_(x) #x
#define GATEWISE_STRING(x) GATEWISE_STRING_(x)

namespace gatewise::GATEWISE_ISA {

namespace {

template <class Real>
BufferSizes sizes(const Shape& s) {
  const int64_t P = panel_count<Real>(s.H), width = kPanelWidth<Real>;
  const auto weights = static_cast<size_t>(P * (s.I + s.H) * width);
  const auto bias = static_cast<size_t>(P * width);
  return {.tape = tape_elements<Real>(s),
          .weights = weights,
          .bias = bias,
          .cells = static_cast<size_t>(P * s.B * kLanes<Real>),
          .weights_hh = static_cast<size_t>(P * width * padded<Real>(s.H)),
          .weights_ih = static_cast<size_t>(P * width * padded<Real>(s.I)),
          .gradient_weights = weights,
          .gradient_bias = bias,
          .panels = P};
}

template <class Real>
void unpack_panel(const BackwardPlan<Real>& plan, int64_t panel) {
  const FlushSubnormals flush;
  const auto& args = plan.args;
  unpack_gradients<Real>(args.shape, plan.blocks, panel, plan.dw, plan.db, args.dw_ih, args.dw_hh,
                         args.db);
}

template <class Real>
void activate(Activation which, int64_t n, const Real* x, Real* y) {
  const FlushSubnormals flush;
  for (int64_t j = 0; j < n; j += kLanes<Real>) {
    const int lanes = static_cast<int>(std::min<int64_t>(kLanes<Real>, n - j));
    const Vec<Real> v = load_first(x + j, lanes);
    store_first(y + j, which == Activation::kSigmoid ? sigmoid<Real>(v) : tanh<Real>(v), lanes);
  }
}

template <class Real>
constexpr KernelTable<Real> table() {
  return {.sizes = sizes<Real>,
          .pack_forward = pack_forward<Real>,
          .pack_backward = pack_backward<Real>,
          .forward_scratch = forward_scratch<Real>,
          .backward_scratch = backward_scratch<Real>,
          .forward_rows = forward_rows<Real>,
          .backward_block = backward_block<Real>,
          .unpack_gradients = unpack_panel<Real>,
          .activate = activate<Real>};
}

}  // namespace

const Kernels kKernels = {GATEWISE_STRING(GATEWISE_ISA), table<float>(), table<double>()};

}  // namespace gatewise::GATEWISE_ISA
