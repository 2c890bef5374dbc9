// Backward: from the last layer to the first. In each, chunks of steps from the end: dgates and dh
// over rows (or columns in lockstep), then dW over columns and panels.
#include <algorithm>
#include <array>

#include "sharing.h"
#include "tape.h"
#include "threads.h"

namespace gatewise {
namespace {

// Rows (steps x batch) that go into dW in one product: some 384.
int64_t chunk_steps(int64_t B) {
  constexpr int64_t kSums = 3;
  return kSums * sum_steps(B);
}

// The directions of one layer, through one segment of steps.
template <class Real>
class LayerBackward {
 public:
  LayerBackward(const KernelTable<Real>& kernels, std::span<BackwardPlan<Real>> plans, int threads)
      : kernels_(kernels),
        plans_(plans),
        s_(plans[0].shape),
        sizes_(kernels.sizes(s_)),
        D_(static_cast<int64_t>(plans.size())),
        threads_(useful_threads(s_, D_, threads, 4.0)),
        lockstep_(!plans[0].staged && in_lockstep(s_, D_, threads_)),
        row_items_(row_items(s_.B, D_, threads_)) {}

  void run() {
    const int64_t chunk = plans_[0].chunk_steps;
    for (int64_t end = s_.T; end > 0;) {
      const Range steps{(end - 1) / chunk * chunk, end};
      if (lockstep_) {
        gradients_in_lockstep(steps);
      } else {
        gradients_by_rows(steps);
      }
      products(steps);
      end = steps.first;
    }
  }

  void unpack(std::span<const typename BackwardArgs<Real>::Gradients> to) {
    parallel_for(threads_, D_ * sizes_.panels, [&](int64_t item) {
      const auto d = static_cast<size_t>(item / sizes_.panels);
      kernels_.unpack_gradients(plans_[d], item % sizes_.panels, to[d].dw_ih, to[d].dw_hh,
                                to[d].db);
    });
    for (size_t d = 0; d < plans_.size(); ++d) unpack_extras(plans_[d], to[d]);
  }

 private:
  int64_t operand_blocks() const {
    return (s_.I + s_.P + sizes_.operand_columns - 1) / sizes_.operand_columns;
  }
  Range operand_columns(int64_t block) const {
    const int64_t first = block * sizes_.operand_columns;
    return {first, std::min(first + sizes_.operand_columns, s_.I + s_.P)};
  }

  void gradients_by_rows(Range steps) {
    const int64_t per_direction = row_items_ + operand_blocks();
    parallel_for(threads_, D_ * per_direction, [&](int64_t item) {
      const auto& plan = plans_[static_cast<size_t>(item % D_)];
      const int64_t k = item / D_;
      if (k < row_items_) {
        kernels_.gradient_rows(plan, steps, share_rows(s_, steps, k, row_items_));
      } else {
        kernels_.pack_operand(plan, steps, operand_columns(k - row_items_));
      }
    });
  }

  void gradients_in_lockstep(Range steps) {
    // A step ends with dgates, so the gradient of h0 takes one more.
    const int64_t count = steps.size() + (steps.first == 0), blocks = sizes_.blocks;
    lockstep(threads_, count, D_ * blocks, [&](int64_t k, int64_t piece) {
      kernels_.gradient_step(plans_[static_cast<size_t>(piece / blocks)], steps.end - 1 - k,
                             piece % blocks);
    });
    parallel_for(threads_, D_ * operand_blocks(), [&](int64_t item) {
      kernels_.pack_operand(plans_[static_cast<size_t>(item % D_)], steps,
                            operand_columns(item / D_));
    });
  }

  // What the dgates of a chunk give: dW, db and dx.
  void products(Range steps) {
    const bool input = plans_[0].weights_ih;
    const int64_t blocks = operand_blocks(), per_thread = 4;
    const int64_t groups =
        std::clamp<int64_t>(per_thread * threads_ / (D_ * blocks), 1, sizes_.panels);
    const int64_t inputs = input ? std::min<int64_t>(2 * threads_, steps.size()) : 0;
    const int64_t weights = blocks * groups, others = plans_[0].extras.project ? 2 : 1;
    parallel_for(threads_, D_ * (weights + inputs + others), [&](int64_t item) {
      const auto& plan = plans_[static_cast<size_t>(item % D_)];
      int64_t k = item / D_;
      if (k < weights) {
        kernels_.weight_gradient(plan, steps, operand_columns(k / groups),
                                 share(sizes_.panels, k % groups, groups));
      } else if ((k -= weights) < inputs) {
        const Range own = share(steps.size(), k, inputs);
        kernels_.input_gradient(plan, {steps.first + own.first, steps.first + own.end}, {0, s_.B});
      } else if (k == inputs) {
        kernels_.bias_gradient(plan, steps, {0, sizes_.panels});
      } else {
        kernels_.projection_gradient(plan, steps);
      }
    });
  }

  void unpack_extras(const BackwardPlan<Real>& plan,
                     const typename BackwardArgs<Real>::Gradients& to) const {
    const Staging<Real>& from = plan.staging;
    if (plan.dpeephole) kernels_.unpack_units(s_.H, 3, plan.dpeephole, to.dpeephole);
    if (from.dproject) kernels_.unpack_projection(s_, from.dproject, to.dw_hr);
    if (!plan.cell.layer_norm) return;
    kernels_.unpack_units(s_.H, 8, from.dnorm_ih, to.dnorm_ih);
    kernels_.unpack_units(s_.H, 8, from.dnorm_hh, to.dnorm_hh);
    kernels_.unpack_units(s_.H, 2, from.dnorm_c, to.dnorm_c);
  }

  const KernelTable<Real>& kernels_;
  const std::span<BackwardPlan<Real>> plans_;
  const Shape s_;
  const BufferSizes sizes_;
  const int64_t D_;
  const int threads_;
  const bool lockstep_;
  const int64_t row_items_;
};

template <class Real>
class Backward {
 public:
  explicit Backward(const BackwardArgs<Real>& args)
      : args_(args),
        net_(args.weights.network),
        kernels_(args.weights.kernels),
        shape_(args.weights.shape(0, args.T, args.B, args.ragged)),
        layout_(args.weights, shape_, args.checkpoint_every),
        every_(layout_.every()),
        x_(readable(args.weights.kernels, args.x, shape_)),
        h0_(readable(args.weights.kernels, args.h0, net_.L * net_.D * args.B * net_.P())) {}

  void run() {
    Sequence<const Real> dy = args_.dy;
    for (int64_t layer = net_.L - 1; layer >= 0; --layer) {
      const Sequence<Real> dx = input_gradient(layer);
      run_layer(layer, dy, dx);
      dy = dx;
    }
  }

 private:
  Sequence<const Real> output(int64_t layer) const {
    if (layer == net_.L - 1) return args_.y;
    return dense<const Real>(args_.tape + layout_.outputs(layer), shape_, net_.D * net_.P());
  }
  Sequence<Real> input_gradient(int64_t layer) const {
    if (layer == 0) return args_.dx;
    const int64_t columns = net_.D * net_.P();
    const auto size = static_cast<size_t>(shape_.rows_before(args_.T) * columns);
    return dense(scratch<Real>(layer % 2 ? Slot::kOdd : Slot::kEven, size), shape_, columns);
  }

  void run_layer(int64_t layer, const Sequence<const Real>& dy, const Sequence<Real>& dx) {
    const Shape s = args_.weights.shape(layer * net_.D, args_.T, args_.B, args_.ragged);
    std::array<BackwardPlan<Real>, 2> whole;
    for (int64_t d = 0; d < net_.D; ++d) {
      auto& plan = whole[static_cast<size_t>(d)];
      plan = make_plan(layer, d, s, dy, dx);
      const int64_t before = (layer * net_.D + d) * s.B;
      kernels_.start_gradients(plan, args_.dh_n ? args_.dh_n + before * s.P : nullptr,
                               args_.dc_n ? args_.dc_n + before * s.H : nullptr);
    }
    const auto D = static_cast<size_t>(net_.D);
    for (int64_t k = layout_.segments() - 1; k >= 0; --k) {
      std::array<BackwardPlan<Real>, 2> plans = whole;
      for (size_t d = 0; d < D; ++d) enter_segment(plans[d], d, k);
      if (every_) recompute(layer, k, plans);
      LayerBackward<Real>(kernels_, {plans.data(), D}, args_.threads).run();
    }
    const auto gradients = args_.gradients.subspan(static_cast<size_t>(layer) * D, D);
    LayerBackward<Real>(kernels_, {whole.data(), D}, args_.threads).unpack(gradients);
    for (int64_t d = 0; d < net_.D; ++d) {
      const int64_t before = (layer * net_.D + d) * s.B;
      kernels_.finish_gradients(whole[static_cast<size_t>(d)], args_.dh0 + before * s.P,
                                args_.dc0 + before * s.H);
    }
    if (net_.D == 2 && dx.data) add_directions(s, dx, whole[1].dx);
  }

  BackwardPlan<Real> make_plan(int64_t layer, int64_t d, const Shape& s,
                               const Sequence<const Real>& dy, const Sequence<Real>& dx) const {
    const int64_t index = layer * net_.D + d;
    const auto blocks = args_.weights.blocks(index);
    const Extras<Real> extras = args_.weights.panels(index).extras;
    const BufferSizes sizes = kernels_.sizes(s);
    const auto chunk = static_cast<size_t>(std::min(chunk_steps(s.B), std::max<int64_t>(s.T, 1)));
    const auto room = [&](Slot slot, size_t elements) {
      elements = whole_lines<Real>(elements);
      return scratch<Real>(slot, elements * static_cast<size_t>(net_.D)) +
             static_cast<size_t>(d) * elements;
    };
    Sequence<Real> own_dx = dx;
    if (d == 1 && dx.data) {
      const auto size = static_cast<size_t>(s.rows_before(s.T) * s.I);
      own_dx = dense(scratch<Real>(Slot::kOther, size), s, s.I);
    }
    const bool staged = net_.staged() || args_.noise.any();
    Real* dgates = room(Slot::kDGates, chunk * sizes.gates);
    return {
        .shape = s,
        .reverse = d == 1,
        .cell = net_.cell,
        .extras = extras,
        .noise = noise_at(args_.noise, index, s),
        .staged = staged,
        .weights_hh = blocks.hh,
        .weights_ih = dx.data ? blocks.ih : nullptr,
        .x = layer ? output(layer - 1) : x_,
        .h0 = state_at(h0_, index, s, s.P),
        .y = half(output(layer), d, net_.P()),
        .tape = {args_.tape + layout_.gates(index), args_.tape + layout_.cells(index),
                 args_.tape + layout_.norms(index)},
        .dy = half(dy, d, net_.P()),
        .dx = own_dx,
        .sum_steps = sum_steps(s.B),
        .chunk_steps = chunk_steps(s.B),
        .dh = room(Slot::kDh, sizes.dh),
        .dc = room(Slot::kDc, sizes.cells),
        .dgates = dgates,
        .operand = room(Slot::kOperand, static_cast<size_t>((s.I + s.P) * s.B) * chunk),
        .dw = room(Slot::kDWeights, sizes.gradients),
        .db = room(Slot::kDBias, sizes.bias),
        .dpeephole = extras.peephole ? room(Slot::kDPeephole, 3 * sizes.unit) : nullptr,
        .dgates_x = net_.cell.layer_norm ? room(Slot::kDGatesX, chunk * sizes.gates) : dgates,
        .dgates_pre = net_.cell.layer_norm ? room(Slot::kDGatesPre, chunk * sizes.gates) : dgates,
        .staging = staged ? staging(sizes, chunk, d) : Staging<Real>{}};
  }

  Staging<Real> staging(const BufferSizes& sizes, size_t chunk, int64_t d) const {
    const bool norm = net_.cell.layer_norm, projection = net_.projection;
    const size_t states = static_cast<size_t>(args_.B) * sizes.unit;
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
        {&Staging<Real>::unprojected, projection ? chunk * sizes.unprojected : 0},
        {&Staging<Real>::dproject, projection ? sizes.project_gradient : 0},
        {&Staging<Real>::dnormal_c, norm ? chunk * states : 0},
        {&Staging<Real>::normal_c, norm ? chunk * states : 0},
        {&Staging<Real>::room, norm ? states : 0},
        {&Staging<Real>::dnorm_ih, norm ? 8 * sizes.unit : 0},
        {&Staging<Real>::dnorm_hh, norm ? 8 * sizes.unit : 0},
        {&Staging<Real>::dnorm_c, norm ? 2 * sizes.unit : 0},
    };
    size_t total = 0;
    for (const Part& part : parts) total += whole_lines<Real>(part.elements);
    Real* next = scratch<Real>(Slot::kStaging, total * static_cast<size_t>(net_.D)) +
                 static_cast<size_t>(d) * total;
    Staging<Real> made{};
    for (const Part& part : parts) {
      made.*part.to = part.elements ? next : nullptr;
      next += whole_lines<Real>(part.elements);
    }
    return made;
  }

  void enter_segment(BackwardPlan<Real>& plan, size_t d, int64_t k) const {
    const Range steps = layout_.segment(k);
    const auto cut = [&](const auto& sequence) { return part(sequence, steps, args_.T, d == 1); };
    plan.h0 = state_before(plan.h0, plan.y, steps.first, args_.T, d == 1);
    plan.x = cut(plan.x), plan.y = cut(plan.y), plan.dy = cut(plan.dy), plan.dx = cut(plan.dx);
    plan.shape.T = steps.size();
    if (!every_) return;
    const Tape<Real> own = segment_tape(plan.shape, d);
    plan.tape = {own.gates, own.cells, nullptr};
  }

  Tape<Real> segment_tape(const Shape& s, size_t d) const {
    const BufferSizes sizes = kernels_.sizes(s);
    const auto longest = static_cast<size_t>(layout_.every());
    const size_t gates = longest * sizes.gates, cells = (longest + 1) * sizes.cells;
    Real* room = scratch<Real>(Slot::kSegment, (gates + cells) * static_cast<size_t>(net_.D)) +
                 d * (gates + cells);
    return {room, room + gates, nullptr};
  }

  // Forward once more through one segment, for the gates that were not kept.
  void recompute(int64_t layer, int64_t k, const std::array<BackwardPlan<Real>, 2>& plans) const {
    std::array<ForwardPlan<Real>, 2> again;
    const auto D = static_cast<size_t>(net_.D);
    for (size_t d = 0; d < D; ++d) {
      const BackwardPlan<Real>& plan = plans[d];
      const Shape& s = plan.shape;
      const int64_t index = layer * net_.D + static_cast<int64_t>(d);
      const auto panels = args_.weights.panels(index);
      const auto states = static_cast<size_t>(s.B * s.H);
      Real* room = scratch<Real>(Slot::kAgain, (static_cast<size_t>(s.T) + 1) * states * D) +
                   d * (static_cast<size_t>(s.T) + 1) * states;
      again[d] = {.shape = s,
                  .reverse = plan.reverse,
                  .weights = panels.weights,
                  .bias = panels.bias,
                  .cell = net_.cell,
                  .extras = panels.extras,
                  .noise = {},
                  .staged = false,
                  .x = plan.x,
                  .h0 = plan.h0,
                  .c0 = k ? State<Real>{args_.tape + layout_.checkpoint(index, k - 1), s.H}
                          : state_at(args_.c0, index, s, s.H),
                  .y = dense(room + states, s, s.H),
                  .h_n = nullptr,
                  .c_n = room,
                  .tape = segment_tape(s, d),
                  .ahead = nullptr};
    }
    gatewise::run_layer<Real>(kernels_, {again.data(), D}, args_.threads);
  }

  void add_directions(const Shape& s, const Sequence<Real>& to, const Sequence<Real>& from) const {
    parallel_for(useful_threads(s, 1, args_.threads, 0.5), s.T, [&](int64_t t) {
      for (int64_t b = 0; b < s.rows_at(t); ++b) kernels_.add(to.row(t, b), from.row(t, b), s.I);
    });
  }

  const BackwardArgs<Real>& args_;
  const Network& net_;
  const KernelTable<Real>& kernels_;
  const Shape shape_;  // of the first layer
  const TapeLayout<Real> layout_;
  const int64_t every_;
  const Sequence<const Real> x_;
  const Real* h0_;
};

}  // namespace

template <class Real>
void backward(const BackwardArgs<Real>& args) {
  Backward<Real>(args).run();
  trim_scratch();
}

template void backward<float>(const BackwardArgs<float>&);
template void backward<double>(const BackwardArgs<double>&);

}  // namespace gatewise
