// SPDX-License-Identifier: Apache-2.0
// What a tape holds, in the order of the input.
#include "sharing.h"
#include "tape.h"
#include "threads.h"

namespace gatewise {

template <class Real>
Status read_tape(const Call<Real>& call, const Real* tape, const Activity<Real>& to) {
  const Network& net = call.weights.network;
  if (!check(net, call.T, call.B) || call.checkpoint_every) return Status::kBadSize;
  if (call.B == 0) return Status::kOk;
  const Shape s = call.weights.shape(0, call.T, call.B, call.ragged);
  const TapeLayout<Real> layout(call.weights, s, 0);
  for (int64_t index = 0; index < net.L * net.D; ++index) {
    LayerPlan<Real> plan;
    plan.shape = call.weights.shape(index, call.T, call.B, call.ragged);
    plan.reverse = index % net.D == 1;
    plan.cell = net.cell;
    const Tape<const Real> own{tape + layout.gates(index), tape + layout.cells(index)};
    const auto at = [&](Real* all) { return all ? all + index * s.T * s.B * s.H : nullptr; };
    const Activity<Real> out{at(to.input_gate), at(to.forget_gate), at(to.candidate),
                             at(to.output_gate), at(to.cell_state)};
    const auto numbers = static_cast<double>(plan.shape.rows_before(s.T) * s.H);
    const int threads = useful_threads(10.0 * numbers, call.threads);  // read five, and write five
    const int64_t items = std::min<int64_t>(s.T, 2 * threads);
    parallel_for(threads, items, [&](int64_t item, int) {
      call.weights.kernels.read_tape(plan, own, share(s.T, item, items), out);
    });
  }
  return Status::kOk;
}

template Status read_tape<float>(const Call<float>&, const float*, const Activity<float>&);
template Status read_tape<double>(const Call<double>&, const double*, const Activity<double>&);

}  // namespace gatewise
