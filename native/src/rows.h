// SPDX-License-Identifier: Apache-2.0
// Where the rows of a step lie.
#pragma once

#include "kernels.h"
#include "packing.h"

namespace gatewise::GATEWISE_ISA {

template <class Real>
GATEWISE_INLINE Real* tape_gates(const Tape<Real>& tape, const Shape& s, int64_t step,
                                 int64_t panel, int64_t b) {
  const int64_t row = s.rows_before(step) * panel_count<Real>(s.H) + panel * s.rows_at(step) + b;
  return tape.gates + row * kPanelWidth<Real>;
}
// How many rows of cell states a panel has at step 0, and where only one state is kept.
template <class Real>
GATEWISE_INLINE int64_t rows_together(const Tape<Real>& tape, const Shape& s) {
  return tape.rows ? tape.rows : s.B;
}
// c after `step` steps.
template <class Real>
GATEWISE_INLINE Real* tape_cells(const Tape<Real>& tape, const Shape& s, int64_t step,
                                 int64_t panel, int64_t b) {
  const bool first = step == 0 || !tape.gates;
  const int64_t before = first ? 0 : s.B + s.rows_before(step - 1);
  const int64_t rows = first ? rows_together(tape, s) : s.rows_at(step - 1);
  return tape.cells + (before * panel_count<Real>(s.H) + panel * rows + b) * kLanes<Real>;
}

// The tape of one step: gates and c by panel and row, c of the step before as well.
template <class Real>
class StepTape {
 public:
  StepTape(const Tape<Real>& tape, const Shape& s, int64_t step)
      : gates_(tape.gates ? tape_gates(tape, s, step, 0, 0) : nullptr),
        c_prev_(tape_cells(tape, s, step, 0, 0)),
        c_(tape_cells(tape, s, step + 1, 0, 0)),
        rows_(tape.gates ? s.rows_at(step) : rows_together(tape, s)),
        rows_prev_(tape.gates && step ? s.rows_at(step - 1) : rows_together(tape, s)) {}
  Real* gates(int64_t panel, int64_t b) const {
    return gates_ + (panel * rows_ + b) * kPanelWidth<Real>;
  }
  Real* c_prev(int64_t panel, int64_t b) const {
    return c_prev_ + (panel * rows_prev_ + b) * kLanes<Real>;
  }
  Real* c(int64_t panel, int64_t b) const { return c_ + (panel * rows_ + b) * kLanes<Real>; }
  // Rows from one panel to the next, of this step and of the step before.
  int64_t rows() const { return rows_; }
  int64_t rows_before() const { return rows_prev_; }

 private:
  Real *gates_, *c_prev_, *c_;
  int64_t rows_, rows_prev_;
};

// The rows of a sequence at one step. Of a ragged batch in reverse, each is of another time.
template <class Real>
class StepRows {
 public:
  StepRows(const Sequence<Real>& sequence, const Shape& s, int64_t step, bool reverse)
      : sequence_(sequence), shape_(&s), step_(step), scattered_(s.ragged && reverse) {
    if (!scattered_ && sequence.data) sequence_.data = sequence.row(s.time(step, 0, reverse), 0);
  }
  explicit StepRows(const State<std::remove_const_t<Real>>& state)
    requires std::is_const_v<Real>
      : sequence_{state.data, 0, state.stride} {}
  Real* operator[](int64_t b) const {
    if (scattered_) return sequence_.row(shape_->time(step_, b, true), b);
    return sequence_.data + b * sequence_.batch_stride;
  }
  // The addresses of n rows from `first` on.
  void locate(int64_t first, int64_t n, Real** to) const {
    if (scattered_) {
      for (int64_t k = 0; k < n; ++k) to[k] = (*this)[first + k];
    } else {
      Real* row = sequence_.data + first * sequence_.batch_stride;
      for (int64_t k = 0; k < n; ++k, row += sequence_.batch_stride) to[k] = row;
    }
  }
  explicit operator bool() const { return sequence_.data; }

 private:
  Sequence<Real> sequence_;
  const Shape* shape_ = nullptr;
  int64_t step_ = 0;
  bool scattered_ = false;
};

// h as a step reads it: what the step before put out, or h0.
template <class Plan>
auto hidden_before(const Plan& plan, int64_t step) {
  using Rows = StepRows<std::remove_pointer_t<decltype(plan.h0.data)>>;
  return step ? Rows(plan.y, plan.shape, step - 1, plan.reverse) : Rows(plan.h0);
}

// The rows of some steps, one after the other: of each step those within `rows` that run.
class RowCursor {
 public:
  RowCursor(const Shape& shape, Range steps, Range rows)
      : shape_(shape), rows_(rows), step_(steps.first), b_(rows.first) {
    end_ = std::min(rows_.end, shape_.rows_at(step_));
  }
  int64_t step() const { return step_; }
  int64_t b() const { return b_; }
  void next() {
    if (++b_ < end_ || ++step_ >= shape_.T) return;
    b_ = rows_.first;
    end_ = std::min(rows_.end, shape_.rows_at(step_));
  }
  static int64_t count(const Shape& shape, Range steps, Range rows) {
    if (!shape.ragged) return steps.size() * rows.size();
    int64_t n = 0;
    for (int64_t step = steps.first; step < steps.end; ++step) {
      n += std::max<int64_t>(0, std::min(rows.end, shape.rows_at(step)) - rows.first);
    }
    return n;
  }

 private:
  const Shape& shape_;
  const Range rows_;
  int64_t step_, b_, end_;
};

struct Rows {
  Range steps, rows;
};

}  // namespace gatewise::GATEWISE_ISA
