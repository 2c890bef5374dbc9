// SPDX-License-Identifier: Apache-2.0
// A grid of calls that the core shares out over threads, each compared bit by bit with one thread:
// rows 1 to 16, three widths, batches of equal and of differing lengths, every path of the core.
// Without Python, so that sanitizers, valgrind and qemu see it. Names each call before it begins,
// since a crash is what it looks for. Exits 1 on a difference.
//
//   native_grid [small [k]]  small: less of it, for where every instruction costs; only each k-th
//   call
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "gatewise/lstm.h"

namespace {

// What is called, in words of this program.
struct Setup {
  int64_t T = 0, B = 0;
  gatewise::Network net = {};
  std::vector<int64_t> lengths =
      {};  // of the rows, the longest first; empty: all run through T steps
  bool training = true, states = true, noise = false, wants_dx = true;
  bool traced = false;  // training: also what the tape says, and the gradients of the gates
  bool edited = false;  // forward only
  int64_t checkpoint_every = 0;
};

template <class Real>
using Results = std::vector<std::vector<Real>>;

void require(gatewise::Status status) {
  if (status == gatewise::Status::kOk) return;
  std::printf("  a call failed: status %d\n", static_cast<int>(status));
  std::exit(1);
}

// --- the core's interface: all that this program knows of it stands from here ...

template <class Real>
class Problem {
 public:
  explicit Problem(const Setup& setup) : s_(setup), ragged_(batch_sizes()), random_(7) {
    const gatewise::Network& net = s_.net;
    const int64_t H = net.H, P = net.P(), k = net.L * net.D, N = ragged_.before.back();
    const double scale = 0.7 / std::max(1.0, std::sqrt(static_cast<double>(H)));
    for (int64_t index = 0; index < k; ++index) {
      const int64_t inputs = net.inputs(index / net.D), norm = net.cell.layer_norm ? 8 * H : 0;
      for (const int64_t n : {4 * H * inputs, 4 * H * P, 4 * H, net.projection * H,
                              net.cell.peephole ? 3 * H : 0, norm, norm, norm / 4}) {
        parameters_.push_back(drawn(n, scale));
      }
    }
    x_ = drawn(N * net.I, 1), dy_ = drawn(N * net.D * P, 1);
    h0_ = drawn(k * s_.B * P, 1), c0_ = drawn(k * s_.B * H, 1);
    if (s_.noise) {
      mask_ = drawn(k * s_.B * P, 1), zone_h_ = drawn(k * N * P, 0.2),
      zone_c_ = drawn(k * N * H, 0.2);
    }
    for (auto& edits : edits_) edits = s_.edited ? sparse(k * s_.T * s_.B * H) : edits;
    std::vector<gatewise::Parameters<Real>> own;
    for (int64_t index = 0; index < k; ++index) {
      own.push_back({.w_ih = at(index, 0),
                     .w_hh = at(index, 1),
                     .b_ih = at(index, 2),
                     .b_hh = nullptr,
                     .w_hr = at(index, 3),
                     .peephole = at(index, 4),
                     .norm_ih = at(index, 5),
                     .norm_hh = at(index, 6),
                     .norm_c = at(index, 7)});
    }
    weights_ = gatewise::pack<Real>(net, own);
  }

  // y, h_n, c_n, and in training dx, dh0, dc0, the gradients of the parameters and the trace.
  Results<Real> run(int threads) const {
    const int64_t I = s_.net.I, columns = s_.net.D * s_.net.P();
    std::vector<Real> y = room(dy_), h_n = room(h0_), c_n = room(c0_), tape;
    const int64_t every = s_.training ? s_.checkpoint_every : 0;
    if (s_.training) {
      tape.assign(gatewise::tape_size(*weights_, s_.T, s_.B, every, raggedness()), kUnset);
    }
    const gatewise::Call<Real> call{.weights = *weights_,
                                    .T = s_.T,
                                    .B = s_.B,
                                    .threads = threads,
                                    .x = sequence(x_.data(), I),
                                    .h0 = s_.states ? h0_.data() : nullptr,
                                    .c0 = s_.states ? c0_.data() : nullptr,
                                    .checkpoint_every = every,
                                    .ragged = raggedness(),
                                    .noise = noise(),
                                    .edits = edits()};
    require(gatewise::forward<Real>({.call = call,
                                     .y = sequence(y.data(), columns),
                                     .h_n = h_n.data(),
                                     .c_n = c_n.data(),
                                     .tape = s_.training ? tape.data() : nullptr}));
    if (!s_.training) return {y, h_n, c_n};
    const Results<Real> activity = s_.traced ? read(call, tape) : Results<Real>{};
    std::vector<Real> dx = room(x_), dh0 = room(h0_), dc0 = room(c0_);
    std::vector<Real> gates(s_.traced ? 4 * trace_size() : 0, kUnset);
    Results<Real> gradients;
    for (const auto& p : parameters_) gradients.push_back(room(p));
    std::vector<typename gatewise::BackwardArgs<Real>::Gradients> out;
    for (size_t k = 0; k < gradients.size(); k += kParts) {
      const auto to = [&](size_t part) {
        return gradients[k + part].empty() ? nullptr : gradients[k + part].data();
      };
      out.push_back({to(0), to(1), to(2), to(3), to(4), to(5), to(6), to(7)});
    }
    require(gatewise::backward<Real>(
        {.call = call,
         .y = sequence<const Real>(y.data(), columns),
         .tape = tape.data(),
         .dy = sequence(dy_.data(), columns),
         .dh_n = h0_.data(),
         .dc_n = c0_.data(),
         .dx = s_.wants_dx ? sequence(dx.data(), I) : gatewise::Sequence<Real>{},
         .dh0 = dh0.data(),
         .dc0 = dc0.data(),
         .gradients = out,
         .gate_gradients = s_.traced ? gates.data() : nullptr}));
    Results<Real> all{y, h_n, c_n, s_.wants_dx ? dx : x_, dh0, dc0, gates};
    all.insert(all.end(), gradients.begin(), gradients.end());
    all.insert(all.end(), activity.begin(), activity.end());
    return all;
  }

  // y, h and c of a stream that takes all steps.
  Results<Real> stream(int threads) const {
    const auto owner = gatewise::Stream<Real>::make(weights_, s_.B);
    if (!owner) require(gatewise::Status::kBadSize);
    gatewise::Stream<Real>& stream = *owner;
    if (s_.states) stream.set_state(h0_.data(), c0_.data());
    std::vector<Real> y = room(dy_), h = room(h0_), c = room(c0_);
    for (int64_t t = 0; t < s_.T; ++t) {
      stream.step(x_.data() + t * s_.B * s_.net.I, y.data() + t * s_.B * s_.net.P(), threads);
    }
    stream.get_state(h.data(), c.data());
    return {y, h, c};
  }

 private:
  static constexpr size_t kParts = 8;
  static constexpr Real kUnset = static_cast<Real>(7e7);  // what the core must not leave

  std::vector<int64_t> batch_sizes() const {
    std::vector<int64_t> rows(static_cast<size_t>(s_.T), s_.B);
    for (int64_t t = 0; t < s_.T && !s_.lengths.empty(); ++t) {
      rows[static_cast<size_t>(t)] =
          std::count_if(s_.lengths.begin(), s_.lengths.end(), [t](int64_t n) { return n > t; });
    }
    return rows;
  }
  std::vector<Real> drawn(int64_t n, double scale) {
    std::uniform_real_distribution<double> uniform(-scale, scale);
    std::vector<Real> v(static_cast<size_t>(n));
    for (auto& e : v) e = static_cast<Real>(static_cast<float>(uniform(random_)));
    return v;
  }
  // Edits of a fifth of all values; NaN leaves the others alone.
  std::vector<Real> sparse(int64_t n) {
    std::vector<Real> v = drawn(n, 0.9);
    for (size_t j = 0; j < v.size(); ++j) v[j] = j % 5 ? static_cast<Real>(NAN) : v[j];
    return v;
  }
  size_t trace_size() const {
    return static_cast<size_t>(s_.net.L * s_.net.D * s_.T * s_.B * s_.net.H);
  }
  Results<Real> read(const gatewise::Call<Real>& call, const std::vector<Real>& tape) const {
    Results<Real> found(5, std::vector<Real>(trace_size(), kUnset));
    require(gatewise::read_tape<Real>(call, tape.data(),
                                      {.input_gate = found[0].data(),
                                       .forget_gate = found[1].data(),
                                       .candidate = found[2].data(),
                                       .output_gate = found[3].data(),
                                       .cell_state = found[4].data()}));
    return found;
  }
  static std::vector<Real> room(const std::vector<Real>& like) {
    return std::vector<Real>(like.size(), kUnset);
  }
  const Real* at(int64_t index, size_t part) const {
    const auto& p = parameters_[static_cast<size_t>(index) * kParts + part];
    return p.empty() ? nullptr : p.data();
  }
  const gatewise::Ragged* raggedness() const { return s_.lengths.empty() ? nullptr : &ragged_; }
  template <class Element>
  gatewise::Sequence<Element> sequence(Element* data, int64_t columns) const {
    return {data, s_.B * columns, columns, raggedness()};
  }
  gatewise::Noise<Real> noise() const {
    if (!s_.noise) return {};
    return {mask_.data(), zone_h_.data(), zone_c_.data()};
  }
  gatewise::Edits<Real> edits() const {
    if (!s_.edited) return {};
    return {edits_[0].data(), edits_[1].data(), edits_[2].data(),
            edits_[3].data(), edits_[4].data(), edits_[5].data()};
  }

  const Setup s_;
  const gatewise::Ragged ragged_;
  std::mt19937 random_;
  Results<Real> parameters_;
  std::vector<Real> x_, dy_, h0_, c0_, mask_, zone_h_, zone_c_;
  std::array<std::vector<Real>, 6> edits_;
  gatewise::SharedWeights<Real> weights_;
};

// `useful_threads` in src/sharing.h gives a thread this many operations of forward at least.
constexpr double kOperationsPerThread = 1e7;

// ... to here.

int failures = 0;
int calls = 0, every = 1;  // see main

bool is_next() { return calls++ % every == 0; }

template <class Real>
bool same(const Results<Real>& a, const Results<Real>& b) {
  return a == b;
}

void say(const char* name, const Setup& s, int threads) {
  std::printf("  %s: T %d B %d I %d H %d L %d D %d P %d, %d threads", name, static_cast<int>(s.T),
              static_cast<int>(s.B), static_cast<int>(s.net.I), static_cast<int>(s.net.H),
              static_cast<int>(s.net.L), static_cast<int>(s.net.D), static_cast<int>(s.net.P()),
              threads);
  for (const int64_t n : s.lengths) std::printf(" %d", static_cast<int>(n));
  std::printf("\n");
  std::fflush(stdout);
}

template <class Real>
void compare(const char* name, const Setup& setup, std::initializer_list<int> threads) {
  if (!is_next()) return;
  const Problem<Real> call(setup);
  const Results<Real> alone = call.run(1);
  for (const int n : threads) {
    say(name, setup, n);
    if (same(call.run(n), alone)) continue;
    std::printf("  OTHER BITS than with one thread\n");
    ++failures;
  }
}

// Lengths of B rows, `rows` steps of all of them together; kind 0: none, all run through.
std::vector<int64_t> lengths_of(int kind, int64_t B, int64_t rows, std::mt19937& random) {
  std::vector<int64_t> found(static_cast<size_t>(B), 1);
  if (kind == 1) found[0] = rows;
  if (kind == 2) {
    std::uniform_int_distribution<int64_t> uniform(1, std::max<int64_t>(2 * rows / B, 1));
    for (auto& n : found) n = uniform(random);
  }
  if (kind == 3) std::fill(found.begin(), found.end(), std::max<int64_t>(rows / B, 1));
  std::sort(found.begin(), found.end(), std::greater<>());
  return kind ? found : std::vector<int64_t>{};
}

// As many steps as give `threads` threads work.
Setup sized(gatewise::Network net, int64_t B, int kind, int threads, std::mt19937& random) {
  const double each = 2.0 * 4.0 * static_cast<double>(net.D * net.H * (net.I + net.P()));
  const auto rows = static_cast<int64_t>(kOperationsPerThread * threads / each) + B;
  Setup s{.T = rows / B, .B = B, .net = net, .lengths = lengths_of(kind, B, rows, random)};
  if (kind) s.T = s.lengths.front();
  return s;
}

using enum gatewise::Function;
constexpr gatewise::Cell kPeepholes{.peephole = true};
constexpr gatewise::Cell kCoupled{
    .input_gate = kHardSigmoid, .cell_output = kSoftsign, .coupled = true};
constexpr gatewise::Cell kNormed{.peephole = true, .layer_norm = true};

// Batches of every size and kind through the cell of most people.
void splits(bool small) {
  std::mt19937 random(1);
  int number = 0;
  for (int64_t B = 1; B <= 16; B += small ? 3 : 1) {
    for (const int64_t I : {1, 5, 64}) {
      for (int kind = 0; kind < 4; ++kind, ++number) {
        if (small && number % 3) continue;
        const int threads =
            (small ? std::array{2, 3, 4, 3, 2} : std::array{2, 3, 5, 8, 16})[number % 5];
        Setup s = sized({1, 1 + number % 2, I, 64}, B, kind, threads, random);
        s.states = number % 3 != 0, s.wants_dx = number % 7 != 0;
        s.training = false;
        compare<float>("evaluation", s, {threads, 16});
        s.training = true;
        compare<float>("training", s, {threads - 1, threads, 16});
      }
    }
  }
}

// Every other path, with batches that leave parts over.
void paths(bool small) {
  std::mt19937 random(2);
  const int threads = small ? 2 : 5;
  for (const int64_t B : {1, 2, 3, 5, 13, 16}) {
    for (int kind = 0; kind < (small ? 2 : 4); ++kind) {
      const auto of = [&](gatewise::Network net) { return sized(net, B, kind, threads, random); };
      compare<float>("peepholes", of({1, 2, 5, 48, false, kPeepholes}), {threads, 16});
      compare<float>("coupled", of({2, 1, 5, 48, false, kCoupled}), {threads, 16});
      compare<float>("bfloat16", of({1, 1, 5, 64, true}), {threads, 16});
      compare<float>("layer norm", of({1, 1, 5, 40, false, kNormed}), {threads, 16});
      compare<float>("projection", of({2, 2, 5, 48, false, {}, 17}), {threads, 16});
      compare<double>("float64", of({1, 2, 5, 48}), {threads, 16});
      Setup noisy = of({1, 1, 5, 48});
      noisy.noise = true;
      compare<float>("noise", noisy, {threads, 16});
      for (const gatewise::Network& net :
           {gatewise::Network{2, 2, 5, 40}, {1, 2, 5, 40, true, kNormed, 17}}) {
        Setup seen = of(net);
        seen.noise = seen.traced = true;
        compare<float>("traced", seen, {threads, 16});
        seen.traced = seen.training = false, seen.edited = true;
        compare<float>("edited", seen, {threads, 16});
      }
      Setup kept = of({2, 2, 5, 40});
      for (const int64_t every : {int64_t{3}, int64_t{200}, INT64_MAX}) {
        kept.checkpoint_every = every;
        compare<float>("checkpoints", kept, {threads, 16});
      }
      // The same gradients whether all is kept or some is computed again.
      Setup whole = kept;
      whole.checkpoint_every = 0;
      if (is_next() &&
          !same(Problem<float>(whole).run(threads), Problem<float>(kept).run(threads))) {
        std::printf("  OTHER BITS with checkpoints than without\n");
        ++failures;
      }
    }
    // Steps that are long enough to share out their hidden units.
    const int64_t H = 250 / (B < 4 ? 1 : 2);
    for (const gatewise::Network& net :
         {gatewise::Network{1, 1, 5, H}, {2, 1, 33, H, true}, {1, 1, 5, H, false, kPeepholes}}) {
      Setup lockstep{.T = small ? 10 : 40, .B = std::min<int64_t>(B, 5), .net = net};
      compare<float>("in lockstep", lockstep, {2, 4, 7, 16});
    }
  }
}

// Steps of a stream against the whole sequence.
void streams() {
  for (const int64_t B : {1, 2, 13, 40}) {
    for (const gatewise::Network& net : {gatewise::Network{2, 1, 5, 33},
                                         {1, 1, 5, 33, true},
                                         {2, 1, 5, 33, false, kNormed, 7},
                                         {1, 1, 64, 250}}) {
      const Setup setup{.T = 3, .B = B, .net = net, .training = false};
      const Problem<float> call(setup);
      for (const int threads : {1, 2, 16}) {
        if (!is_next()) continue;
        say("stream", setup, threads);
        if (same(call.stream(threads), call.run(1))) continue;
        std::printf("  OTHER BITS than at once\n");
        ++failures;
      }
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  const bool small = count > 1;
  if (count > 2) every = std::max(1, std::atoi(arguments[2]));
  std::istringstream names{gatewise::isa_available()};
  for (std::string isa; names >> isa;) {
    gatewise::isa_select(isa.c_str());
    std::printf("%s\n", isa.c_str());
    splits(small);
    paths(small);
    streams();
  }
  std::printf("%d failures\n", failures);
  return failures ? 1 : 0;
}
