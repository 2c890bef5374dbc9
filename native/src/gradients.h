// Backward, second part: dW and db, from the dgates of a chunk of steps and what the cell read
// then.
//
// Each element adds its terms from the last step to the first, and within a step by ascending row,
// in groups of plan.sum_steps steps: the bits depend neither on how columns and panels are split
// over threads nor on the chunks, which begin where groups begin.
#pragma once

#include "backward.h"

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
      : plan_(plan), backward_(plan), steps_(steps), panels_(panel_count<Real>(plan.shape.H)) {}

  // operand: for each tile of n columns from c on, [step, last first][row][n] at c * rows of chunk.
  void copy_operand(Range columns) {
    if (!copies()) return;
    for_blocks(columns, [&](Range block) {
      for_column_tiles(block, [&](int64_t column, auto n) {
        constexpr int kColumns = decltype(n)::value;
        Real* to = copied(column);
        for (int64_t step = steps_.end - 1; step >= steps_.first; --step) {
          Real* row = to;
          for (int64_t b = 0; b < plan_.shape.rows_at(step); ++b, row += kColumns) {
            __builtin_memcpy(row, operand_row(step, b, column), kColumns * sizeof(Real));
          }
          to += plan_.shape.B * kColumns;
        }
      });
    });
  }

  void run(Range columns, Range panels) {
    for_blocks(columns, [&](Range block) {
      for (int64_t panel = panels.first; panel < panels.end; ++panel) {
        for_column_tiles(
            block, [&](int64_t column, auto n) { run_tile<decltype(n)::value>(column, panel); });
      }
    });
  }

  void run_bias(int64_t panel) {
    Real* out = plan_.db + panel * W;
    for (int64_t end = steps_.end; end > steps_.first;) {
      const int64_t first = (end - 1) / plan_.sum_steps * plan_.sum_steps;
      Vec<Real> sum[kGates] = {};
      for (int64_t step = end - 1; step >= first; --step) {
        const Real* d = backward_.dgates(step, panel, 0);
        for (int64_t b = 0; b < plan_.shape.rows_at(step); ++b, d += W) {
#pragma GCC unroll 4
          for (int gate = 0; gate < kGates; ++gate) sum[gate] += load(d + gate * V);
        }
      }
      for (int gate = 0; gate < kGates; ++gate) {
        store(out + gate * V, load(out + gate * V) + sum[gate]);
      }
      end = first;
    }
  }

  // From c of the step before to i and f, and from c to o.
  void run_peephole(int64_t panel) {
    const Shape& s = plan_.shape;
    Real* out = plan_.dpeephole + panel * 3 * V;
    for (int64_t end = steps_.end; end > steps_.first;) {
      const int64_t first = (end - 1) / plan_.sum_steps * plan_.sum_steps;
      Vec<Real> sum[3] = {};
      for (int64_t step = end - 1; step >= first; --step) {
        for (int64_t b = 0; b < s.rows_at(step); ++b) {
          const Real* d = backward_.dgates(step, panel, b);
          const Vec<Real> c_prev = load(tape_cells(plan_.tape, s, step, panel, b));
          sum[0] = fma(load(d), c_prev, sum[0]);
          sum[1] = fma(load(d + V), c_prev, sum[1]);
          sum[2] = fma(load(d + 3 * V), load(tape_cells(plan_.tape, s, step + 1, panel, b)), sum[2]);
        }
      }
      for (int k = 0; k < 3; ++k) store(out + k * V, load(out + k * V) + sum[k]);
      end = first;
    }
  }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;

  // Of a ragged batch in reverse, rows of one step are of different times: no stride leads along.
  bool copies() const { return panels_ >= kCopyOperandPanels || plan_.shape.ragged; }

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

  template <int kColumns>
  __attribute__((noinline)) void run_tile(int64_t column, int64_t panel) {
    const int64_t B = plan_.shape.B, K = plan_.shape.I + plan_.shape.P;
    const Real* copy = copies() ? copied(column) : nullptr;
    weight_gradient_tile<Real, kColumns>(
        plan_.dw + (panel * K + column) * W, steps_, plan_.sum_steps, [&](int64_t step) {
          const Real* dgates = backward_.dgates(step, panel, 0);
          const int64_t rows = plan_.shape.rows_at(step);
          if (!copy) {
            return StepOperands<Real>{operand_row(step, 0, column), operand_stride(step, column),
                                      dgates, rows};
          }
          return StepOperands<Real>{copy + (steps_.end - 1 - step) * B * kColumns, kColumns,
                                    dgates, rows};
        });
  }

  const BackwardPlan<Real>& plan_;
  const Backward<Real> backward_;
  const Range steps_;
  const int64_t panels_;
};

template <class Real>
void pack_operand(const BackwardPlan<Real>& plan, Range steps, Range columns) {
  WeightGradient<Real>(plan, steps).copy_operand(columns);
}
template <class Real>
void weight_gradient(const BackwardPlan<Real>& plan, Range steps, Range columns, Range panels) {
  const FlushSubnormals flush;
  WeightGradient<Real>(plan, steps).run(columns, panels);
}
template <class Real>
void bias_gradient(const BackwardPlan<Real>& plan, Range steps, Range panels) {
  const FlushSubnormals flush;
  WeightGradient<Real> gradient(plan, steps);
  for (int64_t panel = panels.first; panel < panels.end; ++panel) {
    gradient.run_bias(panel);
    if (plan.dpeephole) gradient.run_peephole(panel);
  }
}

}  // namespace gatewise::GATEWISE_ISA
