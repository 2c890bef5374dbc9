// SPDX-License-Identifier: Apache-2.0
// Backward: from the last layer to the first that anybody wants a gradient of. In each, chunks of
// steps from the end: dgates and dh over rows (or columns in lockstep), then dW over columns and
// panels.
#include <algorithm>
#include <array>

#include "layer_backward.h"

namespace gatewise {
namespace {

template <class Real>
class Backward {
 public:
  explicit Backward(const BackwardArgs<Real>& args)
      : args_(args), at_(args.call, true), every_(at_.layout.every()) {}

  Status run() {
    const int64_t last = lowest_wanted();
    if (last == at_.net.L) return Status::kOk;
    const Real* blocks = args_.call.weights.blocks();
    if (!blocks) return Status::kOutOfMemory;
    Sequence<const Real> dy = args_.dy;
    for (int64_t layer = at_.net.L - 1; layer >= last; --layer) {
      const Sequence<Real> dx = input_gradient(layer, last);
      const Status status = run_layer(layer, blocks, dy, dx);
      if (status != Status::kOk) return status;
      dy = dx;
    }
    return Status::kOk;
  }

 private:
  // The first layer with a gradient that is wanted; L if there is none.
  int64_t lowest_wanted() const {
    if (args_.dx.data || args_.dh0 || args_.dc0 || args_.gate_gradients) return 0;
    for (int64_t k = 0; k < at_.net.L * at_.net.D; ++k) {
      if (args_.gradients[static_cast<size_t>(k)].any()) return k / at_.net.D;
    }
    return at_.net.L;
  }

  Sequence<const Real> output(int64_t layer) const {
    if (layer == at_.net.L - 1) return args_.y;
    return at_.template dense_output<const Real>(args_.tape + at_.layout.outputs(layer));
  }
  Sequence<Real> input_gradient(int64_t layer, int64_t last) {
    if (layer == 0) return args_.dx;
    if (layer == last) return {};
    const Slot slot = layer % 2 ? Slot::kOdd : Slot::kEven;
    return at_.dense_output(at_.workspace.template take<Real>(slot, at_.output_size()));
  }

  Status run_layer(int64_t layer, const Real* blocks, const Sequence<const Real>& dy,
                   const Sequence<Real>& dx) {
    const Shape s = at_.shape_of(layer * at_.net.D);
    const auto D = static_cast<size_t>(at_.net.D);
    const auto own = args_.gradients.subspan(static_cast<size_t>(layer) * D, D);
    std::array<BackwardPlan<Real>, 2> whole;
    for (size_t d = 0; d < D; ++d) {
      whole[d] = make_plan(layer, static_cast<int64_t>(d), blocks, dy, dx, wanted(own));
    }
    if (at_.workspace.failed()) return Status::kOutOfMemory;
    const int64_t before = layer * at_.net.D * s.B;
    const auto state = [&](auto* states, size_t d, int64_t size) {
      return states ? states + (before + static_cast<int64_t>(d) * s.B) * size : nullptr;
    };
    for (size_t d = 0; d < D; ++d) {
      at_.kernels.start_gradients(whole[d], state(args_.dh_n, d, s.P), state(args_.dc_n, d, s.H));
    }
    const Status status = run_segments(layer, whole, wanted_columns(own, s));
    if (status != Status::kOk) return status;
    LayerBackward<Real>(at_.kernels, {whole.data(), D}, args_.call.threads, at_.workspace)
        .unpack(own);
    for (size_t d = 0; d < D; ++d) {
      at_.kernels.finish_gradients(whole[d], state(args_.dh0, d, s.P), state(args_.dc0, d, s.H));
    }
    if (D == 2 && dx.data) add_directions(s, dx, whole[1].dx);
    return Status::kOk;
  }

  Status run_segments(int64_t layer, const std::array<BackwardPlan<Real>, 2>& whole,
                      Range columns) {
    const auto D = static_cast<size_t>(at_.net.D);
    for (int64_t k = at_.layout.segments() - 1; k >= 0; --k) {
      std::array<BackwardPlan<Real>, 2> plans = whole;
      for (size_t d = 0; d < D; ++d) enter_segment(plans[d], d, k);
      if (at_.workspace.failed()) return Status::kOutOfMemory;
      if (every_) {
        const Status status = recompute(layer, k, plans);
        if (status != Status::kOk) return status;
      }
      LayerBackward<Real> segment(at_.kernels, {plans.data(), D}, args_.call.threads,
                                  at_.workspace);
      if (at_.workspace.failed()) return Status::kOutOfMemory;
      const Status status = segment.run(columns, at_.patience);
      if (status != Status::kOk) return status;
    }
    return Status::kOk;
  }

  // What either direction of a layer wants, as addresses to test and no more.
  static Gradients<Real> wanted(std::span<const Gradients<Real>> own) {
    Gradients<Real> any = own[0];
    for (const Gradients<Real>& other : own.subspan(1)) {
      const auto add = [&](auto member) {
        if (!(any.*member)) any.*member = other.*member;
      };
      using G = Gradients<Real>;
      add(&G::dw_ih), add(&G::dw_hh), add(&G::db), add(&G::dw_hr), add(&G::dpeephole);
      add(&G::dnorm_ih), add(&G::dnorm_hh), add(&G::dnorm_c);
    }
    return any;
  }
  static Range wanted_columns(std::span<const Gradients<Real>> own, const Shape& s) {
    const Gradients<Real> any = wanted(own);
    if (!any.dw_ih && !any.dw_hh) return {0, 0};
    return {any.dw_ih ? 0 : s.I, any.dw_hh ? s.I + s.P : s.I};
  }

  BackwardPlan<Real> make_plan(int64_t layer, int64_t d, const Real* blocks,
                               const Sequence<const Real>& dy, const Sequence<Real>& dx,
                               const Gradients<Real>& want) {
    const int64_t index = layer * at_.net.D + d;
    BackwardPlan<Real> made{at_.layer_plan(index, layer ? output(layer - 1) : at_.x)};
    const Shape& s = made.shape;
    const auto packed = args_.call.weights.blocks(blocks, index);
    const BufferSizes sizes = at_.kernels.sizes(s);
    const auto chunk = static_cast<size_t>(std::min(chunk_steps(s.B), std::max<int64_t>(s.T, 1)));
    const auto room = [&](Slot slot, bool wanted, size_t elements) -> Real* {
      if (!wanted) return nullptr;
      elements = whole_lines<Real>(elements);
      Real* all =
          at_.workspace.template take<Real>(slot, elements * static_cast<size_t>(at_.net.D));
      return all ? all + static_cast<size_t>(d) * elements : nullptr;
    };
    made.weights_hh = packed.hh, made.weights_ih = packed.ih;
    made.y = half(output(layer), d, at_.net.P());
    made.tape = {args_.tape + at_.layout.gates(index), args_.tape + at_.layout.cells(index),
                 args_.tape + at_.layout.norms(index)};
    made.dy = half(dy, d, at_.net.P());
    made.dx = dx;
    if (d == 1 && dx.data) {
      const auto size = static_cast<size_t>(s.rows_before(s.T) * s.I);
      made.dx = dense(at_.workspace.template take<Real>(Slot::kOther, size), s, s.I);
    }
    made.sum_steps = sum_steps(s.B);
    made.chunk_steps = chunk_steps(s.B);
    const bool products = want.dw_ih || want.dw_hh, norm = at_.net.cell.layer_norm;
    made.dh = room(Slot::kDh, true, sizes.dh);
    made.dc = room(Slot::kDc, true, sizes.cells);
    made.dgates = room(Slot::kDGates, true, chunk * sizes.gates);
    made.operand = room(Slot::kOperand, products, static_cast<size_t>((s.I + s.P) * s.B) * chunk);
    made.dw = room(Slot::kDWeights, products, sizes.gradients);
    made.db = room(Slot::kDBias, want.db, sizes.bias);
    made.dpeephole = room(Slot::kDPeephole, want.dpeephole, 3 * sizes.unit);
    made.dgates_x = norm ? room(Slot::kDGatesX, true, chunk * sizes.gates) : made.dgates;
    if (args_.gate_gradients) {
      made.gate_gradients = args_.gate_gradients + index * s.T * s.B * 4 * s.H;
    }
    made.dgates_pre = norm ? room(Slot::kDGatesPre, true, chunk * sizes.gates) : made.dgates;
    if (made.staged) made.staging = staging(sizes, chunk, d, want);
    return made;
  }

  Staging<Real> staging(const BufferSizes& sizes, size_t chunk, int64_t d,
                        const Gradients<Real>& want) {
    const bool norm = at_.net.cell.layer_norm, projection = at_.net.projection;
    const size_t states = static_cast<size_t>(args_.call.B) * sizes.unit;
    // One block for all, as large as each direction needs; then its parts, one after the other.
    struct Part {
      Real* Staging<Real>::* to;
      size_t elements;
    };
    const Part parts[] = {
        {&Staging<Real>::kept, sizes.dh},
        {&Staging<Real>::dm, states},
        {&Staging<Real>::m, states},
        {&Staging<Real>::projected, projection ? chunk * sizes.projected : 0},
        {&Staging<Real>::unprojected, want.dw_hr ? chunk * sizes.unprojected : 0},
        {&Staging<Real>::dproject, want.dw_hr ? sizes.project_gradient : 0},
        {&Staging<Real>::dnormal_c, norm ? chunk * states : 0},
        {&Staging<Real>::normal_c, norm ? chunk * states : 0},
        {&Staging<Real>::room, norm ? states : 0},
        {&Staging<Real>::inverse_std, norm ? static_cast<size_t>(args_.call.B) : 0},
        {&Staging<Real>::dnorm_ih, want.dnorm_ih ? 8 * sizes.unit : 0},
        {&Staging<Real>::dnorm_hh, want.dnorm_hh ? 8 * sizes.unit : 0},
        {&Staging<Real>::dnorm_c, want.dnorm_c ? 2 * sizes.unit : 0},
    };
    size_t total = 0;
    for (const Part& part : parts) total += whole_lines<Real>(part.elements);
    Real* next =
        at_.workspace.template take<Real>(Slot::kStaging, total * static_cast<size_t>(at_.net.D));
    Staging<Real> made{};
    if (!next) return made;
    next += static_cast<size_t>(d) * total;
    for (const Part& part : parts) {
      made.*part.to = part.elements ? next : nullptr;
      next += whole_lines<Real>(part.elements);
    }
    return made;
  }

  void enter_segment(BackwardPlan<Real>& plan, size_t d, int64_t k) {
    const Range steps = at_.layout.segment(k);
    const int64_t T = args_.call.T;
    const auto cut = [&](const auto& sequence) { return part(sequence, steps, T, d == 1); };
    plan.h0 = state_before(plan.h0, plan.y, steps.first, T, d == 1);
    plan.x = cut(plan.x), plan.y = cut(plan.y), plan.dy = cut(plan.dy), plan.dx = cut(plan.dx);
    plan.shape.T = steps.size();
    if (!every_) return;
    const Tape<Real> own = segment_tape(plan.shape, d);
    plan.tape = {own.gates, own.cells, nullptr};
  }

  Tape<Real> segment_tape(const Shape& s, size_t d) {
    const BufferSizes sizes = at_.kernels.sizes(s);
    const auto longest = static_cast<size_t>(at_.layout.every());
    const size_t gates = longest * sizes.gates, cells = (longest + 1) * sizes.cells;
    Real* room = at_.workspace.template take<Real>(
        Slot::kSegment, (gates + cells) * static_cast<size_t>(at_.net.D));
    if (!room) return {nullptr, nullptr};
    room += d * (gates + cells);
    return {room, room + gates, nullptr};
  }

  // Forward once more through one segment, for the gates that were not kept.
  Status recompute(int64_t layer, int64_t k, const std::array<BackwardPlan<Real>, 2>& plans) {
    std::array<ForwardPlan<Real>, 2> again;
    const auto D = static_cast<size_t>(at_.net.D);
    for (size_t d = 0; d < D; ++d) {
      again[d] = ForwardPlan<Real>{static_cast<const LayerPlan<Real>&>(plans[d])};
      const Shape& s = again[d].shape;
      const int64_t index = layer * at_.net.D + static_cast<int64_t>(d);
      const auto panels = args_.call.weights.panels(index);
      const auto states = static_cast<size_t>(s.B * s.H);
      const size_t own = (static_cast<size_t>(s.T) + 1) * states;
      Real* room = at_.workspace.template take<Real>(Slot::kAgain, own * D);
      if (!room) return Status::kOutOfMemory;
      room += d * own;
      again[d].weights = panels.weights, again[d].bias = panels.bias;
      again[d].c0 = k ? State<Real>{args_.tape + at_.layout.checkpoint(index, k - 1), s.H}
                      : state_at(at_.workspace, args_.call.c0, index, s, s.H);
      again[d].y = dense(room + states, s, s.H);
      again[d].c_n = room;
      again[d].tape = segment_tape(s, d);
    }
    if (at_.workspace.failed()) return Status::kOutOfMemory;
    return gatewise::run_layer<Real>(at_.kernels, {again.data(), D}, args_.call.threads,
                                     at_.workspace, at_.patience);
  }

  void add_directions(const Shape& s, const Sequence<Real>& to, const Sequence<Real>& from) const {
    const auto step = [&](int64_t t, int) {
      for (int64_t b = 0; b < s.rows_at(t); ++b) at_.kernels.add(to.row(t, b), from.row(t, b), s.I);
    };
    const auto sums = static_cast<double>(s.rows_before(s.T) * s.I);
    parallel_for(useful_threads(sums, args_.call.threads), s.T, step);
  }

  const BackwardArgs<Real>& args_;
  Frame<Real> at_;
  const int64_t every_;
};

}  // namespace

template <class Real>
Status backward(const BackwardArgs<Real>& args) {
  if (!check(args.call.weights.network, args.call.T, args.call.B)) return Status::kBadSize;
  const bool keeps_all = args.call.checkpoint_every == 0;
  if ((args.call.noise.any() || args.gate_gradients) && !keeps_all) return Status::kBadSize;
  if (args.call.edits.any()) return Status::kBadSize;
  return Backward<Real>(args).run();
}

template Status backward<float>(const BackwardArgs<float>&);
template Status backward<double>(const BackwardArgs<double>&);

}  // namespace gatewise
