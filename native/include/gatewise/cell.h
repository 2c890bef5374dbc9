// SPDX-License-Identifier: Apache-2.0
// Which LSTM: the activation at each of the five sites, and the switches.
#pragma once

#include <array>
#include <cstdint>
#include <iterator>

// The built-in activation functions, in the order of gatewise.cell.ACTIVATIONS, whose table defines
// them; X(enumerator, name). A test compares both. native/src/activations.h computes them.
#define GATEWISE_FUNCTIONS(X)     \
  X(kSigmoid, "sigmoid")          \
  X(kTanh, "tanh")                \
  X(kHardSigmoid, "hard_sigmoid") \
  X(kHardTanh, "hard_tanh")       \
  X(kRelu, "relu")                \
  X(kSoftsign, "softsign")        \
  X(kIdentity, "identity")        \
  X(kOne, "one")

namespace gatewise {

enum class Function : int8_t {
#define GATEWISE_ENUMERATOR(enumerator, name) enumerator,
  GATEWISE_FUNCTIONS(GATEWISE_ENUMERATOR)
#undef GATEWISE_ENUMERATOR
};

inline constexpr const char* kFunctionNames[] = {
#define GATEWISE_NAME(enumerator, name) name,
    GATEWISE_FUNCTIONS(GATEWISE_NAME)
#undef GATEWISE_NAME
};
inline constexpr int kFunctions = static_cast<int>(std::size(kFunctionNames));

// y = scale * function(slope * x) + shift.
struct Activation {
  Function function;
  double scale = 1, slope = 1, shift = 0;
  // NOLINTNEXTLINE(google-explicit-constructor): a function is the plain activation of its name
  constexpr Activation(Function f, double scale_ = 1, double slope_ = 1, double shift_ = 0)
      : function(f), scale(scale_), slope(slope_), shift(shift_) {}
  constexpr bool is_plain() const { return scale == 1 && slope == 1 && shift == 0; }
  bool operator==(const Activation&) const = default;
};

// gatewise.Cell; its docstring says what each field means.
struct Cell {
  Activation input_gate = Function::kSigmoid, forget_gate = Function::kSigmoid,
             candidate = Function::kTanh, output_gate = Function::kSigmoid,
             cell_output = Function::kTanh;
  bool peephole = false, coupled = false, layer_norm = false;
  bool operator==(const Cell&) const = default;

  // Whether the weights of i, f, g and o are used. A gate of the function `one` is a constant, and
  // the forget gate of a coupled cell is 1 - i.
  constexpr std::array<bool, 4> used_gates() const {
    constexpr Function one = Function::kOne;
    return {input_gate.function != one, forget_gate.function != one && !coupled,
            candidate.function != one, output_gate.function != one};
  }
};

}  // namespace gatewise
