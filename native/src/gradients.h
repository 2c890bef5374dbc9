// SPDX-License-Identifier: Apache-2.0
// Backward, second part: dW, from the dgates of a chunk of steps and what the cell read
// then.
//
// Each element adds its terms from the last step to the first, and within a step by ascending row,
// in groups of plan.sum_steps steps: the bits depend neither on how columns and panels are split
// over threads nor on the chunks, which begin where groups begin.
#pragma once

#include <utility>

#include "staged_backward.h"

namespace gatewise::GATEWISE_ISA {

// From this many panels on, the columns that dW reads are copied into tiles first: each is read
// once per panel, and rows that lie a power of two apart evict each other from the cache.
inline constexpr int64_t kCopyOperandPanels = 8;

// Columns that go through dW together: those of a block stay in L2 while the panels pass.
inline constexpr int64_t kOperandBlock = 40 * kTileRows;

template <class Real>
class WeightGradient {
 public:
  WeightGradient(const BackwardPlan<Real>& plan, Range steps)
      : plan_(plan),
        backward_(plan),
        gates_(plan.cell),
        steps_(steps),
        panels_(panel_count<Real>(plan.shape.H)) {}

  // operand: for each tile of n columns from c on, [step, last first][row][n] at c * rows of chunk.
  // Some rows at a time: a tile reads a part of each row's cache line, and the next tile finds the
  // line still in L1.
  void copy_operand(Range columns) {
    if (!copies() || plan_.shape.B == 0) return;
    constexpr int64_t kRowsAtOnce = 64;
    const int64_t at_once = std::max<int64_t>(kRowsAtOnce / plan_.shape.B, 1);
    for (int64_t end = steps_.end; end > steps_.first;) {
      const int64_t first = std::max(evenly_from(steps_.first, end, plan_.shape.I), end - at_once);
      for_blocks(columns, [&](Range block) {
        for_column_tiles(block, [&](int64_t column, auto n) {
          copy_tile<decltype(n)::value>({first, end}, column);
        });
      });
      end = first;
    }
  }

  // The dgates of a group of steps and a panel stay in L1 while the columns pass.
  void run(Range columns, Range panels) {
    for_blocks(columns, [&](Range block) {
      for (int64_t panel = panels.first; panel < panels.end; ++panel) {
        for_groups(steps_, plan_.sum_steps, [&](Range group) {
          for_column_tiles(block, [&](int64_t column, auto n) {
            run_tile<decltype(n)::value>(column, panel, group);
          });
        });
      }
    });
  }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;

  // Of a ragged batch in reverse, rows of one step are of different times: no stride leads along.
  // And h times a mask stands nowhere yet.
  bool copies() const {
    return panels_ >= kCopyOperandPanels || scattered() || plan_.noise.recurrent_mask;
  }
  bool scattered() const { return plan_.shape.ragged && plan_.reverse; }

  template <class Function>
  static void for_blocks(Range columns, Function&& function) {
    for (int64_t from = columns.first; from < columns.end; from += kOperandBlock) {
      function(Range{from, std::min(from + kOperandBlock, columns.end)});
    }
  }

  // Tiles do not straddle the border of inputs and hidden units.
  template <class Function>
  void for_column_tiles(Range block, Function&& function) {
    const int64_t I = plan_.shape.I;
    for (const Range part :
         {Range{block.first, std::min(block.end, I)}, Range{std::max(block.first, I), block.end}}) {
      if (part.size() <= 0) continue;
      for_tiles<kTileRows>(part.size(),
                           [&](int64_t tile, auto n) { function(part.first + tile, n); });
    }
  }

  // What the cell read at a step: x, then h of the step before.
  const Real* operand_row(int64_t step, int64_t b, int64_t column) const {
    const int64_t I = plan_.shape.I;
    if (column < I) return plan_.x.row(backward_.time(step, b), b) + column;
    const Real* h = step ? plan_.y.row(backward_.time(step - 1, b), b) : plan_.h0.row(b);
    return h + (column - I);
  }
  int64_t operand_stride(int64_t step, int64_t column) const {
    if (column < plan_.shape.I) return plan_.x.batch_stride;
    return step ? plan_.y.batch_stride : plan_.h0.stride;
  }
  Real* copied(int64_t column) const {
    return plan_.operand + column * steps_.size() * plan_.shape.B;
  }

  // Copies a tile's columns of some steps that lie at even distances, or of one step. Not inlined:
  // with all sizes of tiles in one function, the counters of the loops would lie on the stack.
  template <int kColumns>
  __attribute__((noinline)) void copy_tile(Range steps, int64_t column) const {
    const int64_t B = plan_.shape.B, last = steps.end - 1;
    const Real* from = operand_row(last, 0, column);
    const int64_t back = steps.size() > 1 ? operand_row(last - 1, 0, column) - from : 0;
    const Real* masks = column < plan_.shape.I ? nullptr : plan_.noise.recurrent_mask;
    Real* to = copied(column) + (steps_.end - steps.end) * B * kColumns;
    for (int64_t step = last; step >= steps.first; --step, from += back, to += B * kColumns) {
      const int64_t rows = plan_.shape.rows_at(step);
      if (scattered()) {
        for (int64_t b = 0; b < rows; ++b) {
          copy_rows<kColumns>(operand_row(step, b, column), 0, 1, to + b * kColumns);
        }
      } else {
        copy_rows<kColumns>(from, operand_stride(step, column), rows, to);
      }
      for (int64_t b = 0; masks && b < rows; ++b) {
        const Real* mask = masks + b * plan_.shape.P + column - plan_.shape.I;
        for (int k = 0; k < kColumns; ++k) to[b * kColumns + k] *= mask[k];
      }
    }
  }
  template <int kColumns>
  static void copy_rows(const Real* from, int64_t stride, int64_t rows, Real* to) {
    for (int64_t b = 0; b < rows; ++b, from += stride, to += kColumns) {
      __builtin_memcpy(to, from, kColumns * sizeof(Real));
    }
  }

  template <int kColumns>
  __attribute__((noinline)) void run_tile(int64_t column, int64_t panel, Range group) {
    const int64_t K = plan_.shape.I + plan_.shape.P;
    Real* dw = plan_.dw + (panel * K + column) * W;
    const auto for_operands = [&](auto&& function) __attribute__((always_inline)) {
      for (int64_t end = group.end; end > group.first;) {
        const bool dense = copies() && !plan_.shape.ragged;  // a copy goes on evenly across h0
        const int64_t first = dense ? group.first : evenly_from(group.first, end, column);
        function(operands<kColumns>({first, end}, column, panel));
        end = first;
      }
    };
    with_gates(gates_, [&](const auto& gates) __attribute__((always_inline)) {
      weight_gradient_tile<Real, kColumns>(gates, dw, for_operands);
    });
  }

  // The first step from which on all up to `end` have as many rows, at even distances.
  int64_t evenly_from(int64_t first, int64_t end, int64_t column) const {
    if (plan_.shape.ragged) return end - 1;
    const bool from_h0 = first == 0 && end > 1 && column >= plan_.shape.I;
    return from_h0 ? 1 : first;
  }

  template <int kColumns>
  Operands<Real> operands(Range steps, int64_t column, int64_t panel) const {
    const int64_t B = plan_.shape.B, last = steps.end - 1;
    Operands<Real> at{.a = copied(column) + (steps_.end - steps.end) * B * kColumns,
                      .dgates = (column < plan_.shape.I ? plan_.dgates_x : plan_.dgates) +
                                backward_.place(last, panel, 0),
                      .rows = plan_.shape.rows_at(last),
                      .a_row = kColumns,
                      .dgates_row = W,
                      .steps = steps.size(),
                      .a_step = B * kColumns,
                      .dgates_step = -panels_ * B * W};
    if (!copies()) {
      at.a = operand_row(last, 0, column);
      at.a_row = operand_stride(last, column);
      at.a_step = at.steps > 1 ? operand_row(last - 1, 0, column) - at.a : 0;
    }
    if (B == 1) {  // in one loop
      std::swap(at.rows, at.steps), std::swap(at.a_row, at.a_step);
      std::swap(at.dgates_row, at.dgates_step);
    }
    return at;
  }

  const BackwardPlan<Real>& plan_;
  const Backward<Real> backward_;
  const SomeGates gates_;
  const Range steps_;
  const int64_t panels_;
};

}  // namespace gatewise::GATEWISE_ISA
