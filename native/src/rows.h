// SPDX-License-Identifier: Apache-2.0
// Where the rows of a step lie, and products over the rows of several steps.
#pragma once

#include "kernels.h"
#include "tile.h"

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

// Calls function(constant n, from, to) for up to kMost rows at a time: where n rows of in and out
// lie.
template <class Real, int kMost, class In, class Out, class Function>
GATEWISE_INLINE void for_tiles_of_rows(const Shape& shape, const Rows& at, const In& in,
                                       const Out& out, Function&& function) {
  RowCursor row(shape, at.steps, at.rows);
  for_tiles<kMost>(RowCursor::count(shape, at.steps, at.rows), [&](int64_t, auto n) {
    constexpr int kRows = decltype(n)::value;
    const Real* from[kRows];
    Real* to[kRows];
    for (int k = 0; k < kRows; ++k, row.next()) {
      from[k] = in(row.step(), row.b());
      to[k] = out(row.step(), row.b());
    }
    function(n, from, to);
  });
}

// out(step, row) = in(step, row) x W for some blocks of W's N columns. W is packed as by
// pack_backward, K elements long in panels of kPanelWidth; the panels of a row of `in` lie
// panel_stride apart.
// gates: see dgates_tile.
template <class Real, class Gates, class In, class Out>
void product(const Gates& gates, const Shape& shape, const Rows& at, const Real* packed,
             int64_t panels, int64_t N, Range blocks, int64_t panel_stride, In in, Out out) {
  constexpr int V = kLanes<Real>;
  constexpr int64_t W = kPanelWidth<Real>, kColumns = int64_t{kBlockVectors} * V;
  if constexpr (kNarrow<Real> > 0) {
    if (N <= kNarrow<Real>) {
      constexpr int kRows = 4;  // as many chains as fill the units
      return with_constant<kNarrow<Real>>(static_cast<int>(N), [&](auto columns) {
        for_tiles_of_rows<Real, kRows>(shape, at, in, out, [&](auto n, auto& from, auto& to) {
          narrow_tile<Real, decltype(n)::value, decltype(columns)::value>(gates, from, panel_stride,
                                                                          panels, packed, to);
        });
      });
    }
  }
  packed += blocks.first * panels * W * kColumns;
  const bool far = panels * W * N * static_cast<int64_t>(sizeof(Real)) > kCacheBytes;
  for (int64_t column = blocks.first * kColumns; column < std::min(N, blocks.end * kColumns);
       column += kColumns) {
    const int used = static_cast<int>(std::min(kColumns, N - column));
    with_constant<kBlockVectors>((used + V - 1) / V, [&](auto vectors) {
      constexpr int kVectors = decltype(vectors)::value;
      // As many rows as leave a register for each vector of W and for the broadcast.
      constexpr int kRows = std::min(12, (kRegisters - kVectors - 1) / kVectors);
      const Real* block = packed;
      packed += panels * W * kVectors * V;
      const bool last = column + kColumns >= std::min(N, blocks.end * kColumns);
      const Real* next = far && !last ? packed : nullptr;
      int64_t tile = 0;
      const auto to_column = [&](int64_t step, int64_t b) { return out(step, b) + column; };
      for_tiles_of_rows<Real, kRows>(shape, at, in, to_column, [&](auto n, auto& from, auto& to) {
        with_fetch<Real, kVectors>(next, panels * W, tile++, [&](const auto& ahead) {
          dgates_tile<Real, decltype(n)::value, kVectors>(gates, from, panel_stride, panels, block,
                                                          to, used, ahead);
        });
      });
    });
  }
}

// Blocks of columns of a product.
template <class Real>
constexpr int64_t column_blocks(int64_t columns) {
  constexpr int64_t kColumns = int64_t{kBlockVectors} * kLanes<Real>;
  return (columns + kColumns - 1) / kColumns;
}

}  // namespace gatewise::GATEWISE_ISA
