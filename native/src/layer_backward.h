// SPDX-License-Identifier: Apache-2.0
// Backward of the directions of one layer: which products of which chunk of steps, over threads.
#pragma once

#include <algorithm>

#include "sharing.h"
#include "tape.h"
#include "threads.h"

namespace gatewise {

// Rows (steps x batch) that go into dW in one product: some 384.
inline int64_t chunk_steps(int64_t B) {
  constexpr int64_t kSums = 3;
  return kSums * sum_steps(B);
}

template <class Real>
using Gradients = typename BackwardArgs<Real>::Gradients;

// The directions of one layer, through one segment of steps.
template <class Real>
class LayerBackward {
 public:
  LayerBackward(const KernelTable<Real>& kernels, std::span<const BackwardPlan<Real>> plans,
                int threads, Workspace& workspace)
      : kernels_(kernels),
        plans_(plans),
        s_(plans[0].shape),
        sizes_(kernels.sizes(s_)),
        D_(static_cast<int64_t>(plans.size())),
        threads_(useful_threads(operations_of(s_, D_, 4.0), threads)),
        lockstep_(!plans[0].staged &&
                  in_lockstep(s_, D_, threads_, sizes_.blocks,
                              static_cast<int64_t>(sizes_.weights_hh * sizeof(Real)))),
        row_items_(row_items(s_.B, D_, threads_)),
        per_row_(operations_of_row(s_, 2.0, s_.P)) {
    if (!lockstep_) return;
    const auto pieces = static_cast<size_t>(D_ * sizes_.blocks);
    next_ = workspace.take<NextStep>(Slot::kLockstep, pieces);
  }

  // columns: of dW that are wanted, counted over the inputs and then the P of h.
  Status run(Range columns, Patience& patience) {
    columns_ = columns;
    const int64_t chunk = plans_[0].chunk_steps;
    for (int64_t end = s_.T; end > 0;) {
      const Range steps{(end - 1) / chunk * chunk, end};
      if (lockstep_) {
        gradients_in_lockstep(steps);
      } else {
        gradients_by_rows(steps);
      }
      if (patience.ends()) return Status::kCancelled;
      if (plans_[0].gate_gradients) read_gradients(steps);
      products(steps);
      end = steps.first;
      if (patience.ends()) return Status::kCancelled;
    }
    return Status::kOk;
  }

  void unpack(std::span<const Gradients<Real>> to) {
    const auto item = [&](int64_t item, int) {
      const auto d = static_cast<size_t>(item / sizes_.panels);
      kernels_.unpack_gradients(plans_[d], item % sizes_.panels, to[d].dw_ih, to[d].dw_hh,
                                to[d].db);
    };
    parallel_for(threads_, D_ * sizes_.panels, item);
    for (size_t d = 0; d < plans_.size(); ++d) unpack_extras(plans_[d], to[d]);
  }

 private:
  int64_t operand_blocks() const {
    return (columns_.size() + sizes_.operand_columns - 1) / sizes_.operand_columns;
  }
  Range operand_columns(int64_t block) const {
    const int64_t first = columns_.first + block * sizes_.operand_columns;
    return {first, std::min(first + sizes_.operand_columns, columns_.end)};
  }

  void gradients_by_rows(Range steps) {
    const int64_t of_rows = D_ * row_items_;  // the others copy columns
    const auto portion = [&](int64_t k) -> Portion {
      if (k >= of_rows) return {k, 0, 0, steps.end};
      const Range rows = share_rows(s_, steps, {0, s_.B}, k / D_, row_items_);
      return {k, rows.first, rows.end, steps.end};
    };
    const auto advance = [&](Portion& own, int) {
      const auto& plan = plans_[static_cast<size_t>(own.item % D_)];
      if (own.item >= of_rows) {
        kernels_.pack_operand(plan, steps, operand_columns((own.item - of_rows) / D_));
        return false;
      }
      const Range rows{own.first, own.end};
      const Range some{std::max(steps.first, own.step - steps_at_once(rows.size())), own.step};
      kernels_.gradient_rows(plan, some, rows);
      own.step = some.first;
      if (own.step > steps.first) return true;
      if (plan.dx.data) kernels_.input_gradient(plan, steps, rows);  // the dgates are in its cache
      return false;
    };
    const auto halve = [&](Portion& own, Portion& half) {
      return halve_rows(s_, {steps.first, own.step}, per_row_, own, half);
    };
    parallel_portions(threads_, {of_rows + D_ * operand_blocks(), portion, advance, halve});
  }
  int64_t steps_at_once(int64_t rows) const {
    return threads_ == 1 ? s_.T : steps_per_look(per_row_, rows, 1);
  }

  void gradients_in_lockstep(Range steps) {
    // A step ends with dgates, so the gradient of h0 takes one more.
    const int64_t count = steps.size() + (steps.first == 0), blocks = sizes_.blocks;
    const auto piece = [&](int64_t k, int64_t piece, int) {
      kernels_.gradient_step(plans_[static_cast<size_t>(piece / blocks)], steps.end - 1 - k,
                             piece % blocks);
    };
    lockstep(threads_, count, D_ * blocks, next_, piece);
    const auto operand = [&](int64_t item, int) {
      kernels_.pack_operand(plans_[static_cast<size_t>(item % D_)], steps,
                            operand_columns(item / D_));
    };
    parallel_for(threads_, D_ * operand_blocks(), operand);
  }

  void read_gradients(Range steps) {
    const auto item = [&](int64_t item, int) {
      const int64_t step = steps.first + item / D_;
      kernels_.read_gradients(plans_[static_cast<size_t>(item % D_)], {step, step + 1});
    };
    parallel_for(threads_, D_ * steps.size(), item);
  }

  // The products of the dgates of a chunk: dW with db, and dx where no thread has rows of its own.
  void products(Range steps) {
    const int64_t per_thread = 4, blocks = std::max<int64_t>(operand_blocks(), 1);
    const int64_t groups =
        std::clamp<int64_t>(per_thread * threads_ / (D_ * blocks), 1, sizes_.panels);
    const bool input = lockstep_ && plans_[0].dx.data;
    const int64_t inputs = input ? std::min<int64_t>(2 * threads_, steps.size()) : 0;
    const int64_t weights = blocks * groups;
    const auto item = [&](int64_t item, int) {
      const auto& plan = plans_[static_cast<size_t>(item % D_)];
      int64_t k = item / D_;
      if (k < weights) {
        const Range panels = share(sizes_.panels, k % groups, groups);
        kernels_.weight_gradient(plan, steps, operand_columns(k / groups), panels);
        if (k < groups) kernels_.bias_gradient(plan, steps, panels);
      } else if ((k -= weights) < inputs) {
        const Range own = share(steps.size(), k, inputs);
        kernels_.input_gradient(plan, {steps.first + own.first, steps.first + own.end}, {0, s_.B});
      } else if (plan.staging.dproject) {
        kernels_.projection_gradient(plan, steps);
      }
    };
    parallel_for(threads_, D_ * (weights + inputs + 1), item);
  }

  void unpack_extras(const BackwardPlan<Real>& plan, const Gradients<Real>& to) const {
    const Staging<Real>& from = plan.staging;
    const auto units = [&](int64_t count, const Real* own, Real* out) {
      if (own && out) kernels_.unpack_units(s_.H, count, own, out);
    };
    units(3, plan.dpeephole, to.dpeephole);
    units(8, from.dnorm_ih, to.dnorm_ih);
    units(8, from.dnorm_hh, to.dnorm_hh);
    units(2, from.dnorm_c, to.dnorm_c);
    if (from.dproject && to.dw_hr) kernels_.unpack_projection(s_, from.dproject, to.dw_hr);
  }

  const KernelTable<Real>& kernels_;
  const std::span<const BackwardPlan<Real>> plans_;
  const Shape s_;
  const BufferSizes sizes_;
  const int64_t D_;
  const int threads_;
  const bool lockstep_;
  const int64_t row_items_;
  const double per_row_;  // operations of a step
  Range columns_{0, 0};
  NextStep* next_ = nullptr;
};

}  // namespace gatewise
