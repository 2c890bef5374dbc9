// SPDX-License-Identifier: Apache-2.0
// The core without Python, for machines that are emulated or instrumented (qemu, valgrind,
// sanitizers): forward and backward of odd shapes against finite differences in float64, and
// float32 against float64, on every instruction set. Exits 1 on a failure.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gatewise/lstm.h"

namespace {

void require(gatewise::Status status) {
  if (status == gatewise::Status::kOk) return;
  std::printf("  a call failed: status %d\n", static_cast<int>(status));
  std::exit(1);
}

struct Case {
  int64_t T, B;
  gatewise::Network net;
  const char* name = "";
  bool ragged = false, noise = false;
  int64_t checkpoint_every = 0;

  // Rows that run at each step.
  std::vector<int64_t> batch_sizes() const {
    std::vector<int64_t> rows(static_cast<size_t>(T), B);
    for (int64_t t = 0; ragged && t < T; ++t) rows[static_cast<size_t>(t)] = B - t * (B - 1) / T;
    return rows;
  }
};

// Of one layer and direction, in the order of gatewise::Parameters without b_hh. What the cell does
// not have is empty.
enum Part { kWIh, kWHh, kB, kWHr, kPeephole, kNormIh, kNormHh, kNormC, kParts };
template <class Real>
using Layer = std::array<std::vector<Real>, kParts>;

template <class Real>
struct Problem {
  Case c;
  gatewise::Ragged ragged;
  std::vector<Real> x, h0, c0, y, h_n, c_n, tape, dx, dh0, dc0;
  std::vector<Real> recurrent_mask, zoneout_h, zoneout_c;
  std::vector<Layer<Real>> own, d;  // of each layer and direction
  std::vector<Real> ones;           // what backward_args lends
  std::vector<typename gatewise::BackwardArgs<Real>::Gradients> out;
  gatewise::SharedWeights<Real> packed;

  explicit Problem(const Case& problem) : c(problem), ragged(c.batch_sizes()) {
    std::mt19937 random(7);
    std::uniform_real_distribution<double> uniform(-0.7, 0.7);
    const double scale = std::min(1.0, 5 / std::sqrt(static_cast<double>(c.net.H)));
    const auto filled = [&](int64_t n) {
      std::vector<Real> v(static_cast<size_t>(n));
      for (auto& e : v) e = static_cast<Real>(static_cast<float>(scale * uniform(random)));
      return v;
    };
    const auto mask = [&](int64_t n, Real value) {
      std::vector<Real> v = filled(n);
      for (auto& e : v) e = e > 0 ? value : Real{0};
      return v;
    };
    const int64_t k = c.net.L * c.net.D, I = c.net.I, H = c.net.H, P = c.net.P(), N = rows();
    x = filled(N * I), h0 = filled(k * c.B * P), c0 = filled(k * c.B * H);
    for (int64_t layer = 0; layer < k; ++layer) {
      const bool norm = c.net.cell.layer_norm;
      const int64_t sizes[kParts] = {4 * H * c.net.inputs(layer / c.net.D),
                                     4 * H * P,
                                     4 * H,
                                     c.net.projection * H,
                                     c.net.cell.peephole ? 3 * H : 0,
                                     norm ? 8 * H : 0,
                                     norm ? 8 * H : 0,
                                     norm ? 2 * H : 0};
      Layer<Real>& made = own.emplace_back();
      for (int part = 0; part < kParts; ++part) made[part] = filled(sizes[part]);
    }
    d = own;
    if (c.noise) {
      recurrent_mask = mask(k * c.B * P, Real{2});
      zoneout_h = mask(k * N * P, Real{1}), zoneout_c = mask(k * N * H, Real{1});
    }
    y.resize(static_cast<size_t>(N * c.net.D * P));
    h_n = h0, c_n = c0, dx = x, dh0 = h0, dc0 = c0;
  }

  int64_t rows() const { return ragged.before.back(); }
  const gatewise::Ragged* raggedness() const { return c.ragged ? &ragged : nullptr; }
  template <class Element>
  gatewise::Sequence<Element> sequence(Element* data, int64_t columns) const {
    return {data, c.B * columns, columns, raggedness()};
  }
  gatewise::Noise<Real> noise() const {
    if (!c.noise) return {};
    return {recurrent_mask.data(), zoneout_h.data(), zoneout_c.data()};
  }

  gatewise::Call<Real> call(int threads) const {
    return {.weights = *packed,
            .T = c.T,
            .B = c.B,
            .threads = threads,
            .x = sequence<const Real>(x.data(), c.net.I),
            .h0 = h0.data(),
            .c0 = c0.data(),
            .checkpoint_every = c.checkpoint_every,
            .ragged = raggedness(),
            .noise = noise()};
  }

  // What forward is called with; packs the weights.
  gatewise::ForwardArgs<Real> forward_args(int threads) {
    std::vector<gatewise::Parameters<Real>> parameters;
    for (const Layer<Real>& p : own) {
      const auto at = [&](Part part) { return p[part].empty() ? nullptr : p[part].data(); };
      parameters.push_back({at(kWIh), at(kWHh), at(kB), nullptr, at(kWHr), at(kPeephole),
                            at(kNormIh), at(kNormHh), at(kNormC)});
    }
    packed = gatewise::pack<Real>(c.net, parameters);
    tape.resize(gatewise::tape_size(*packed, c.T, c.B, c.checkpoint_every, raggedness()));
    return {.call = call(threads),
            .y = sequence(y.data(), c.net.D * c.net.P()),
            .h_n = h_n.data(),
            .c_n = c_n.data(),
            .tape = tape.data()};
  }

  // Loss: sum of y squared, halved, plus the sum of c_n.
  double loss(int threads = 1) {
    require(gatewise::forward<Real>(forward_args(threads)));
    double sum = 0;
    for (const Real v : y) sum += 0.5 * static_cast<double>(v) * static_cast<double>(v);
    for (const Real v : c_n) sum += static_cast<double>(v);
    return sum;
  }

  gatewise::BackwardArgs<Real> backward_args(int threads) {
    ones.assign(c_n.size(), Real{1});
    out.clear();
    for (Layer<Real>& g : d) {
      out.push_back({g[kWIh].data(), g[kWHh].data(), g[kB].data(), g[kWHr].data(),
                     g[kPeephole].data(), g[kNormIh].data(), g[kNormHh].data(), g[kNormC].data()});
    }
    const auto out_y = sequence<const Real>(y.data(), c.net.D * c.net.P());
    return {.call = call(threads),
            .y = out_y,
            .tape = tape.data(),
            .dy = out_y,
            .dh_n = nullptr,
            .dc_n = ones.data(),
            .dx = sequence(dx.data(), c.net.I),
            .dh0 = dh0.data(),
            .dc0 = dc0.data(),
            .gradients = out};
  }

  void gradients(int threads = 1) { require(gatewise::backward<Real>(backward_args(threads))); }

  // Backward with only some outputs wanted: those have the same bits.
  bool same_without(const std::array<bool, kParts>& wanted, bool states) {
    std::vector<Layer<Real>> found = d;
    out.clear();
    for (Layer<Real>& g : found) {
      for (auto& part : g) std::fill(part.begin(), part.end(), Real{-99});
      const auto at = [&](Part part) { return wanted[part] ? g[part].data() : nullptr; };
      out.push_back({at(kWIh), at(kWHh), at(kB), at(kWHr), at(kPeephole), at(kNormIh), at(kNormHh),
                     at(kNormC)});
    }
    const auto out_y = sequence<const Real>(y.data(), c.net.D * c.net.P());
    std::vector<Real> own_dh0(dh0.size()), own_dc0(dc0.size());
    require(gatewise::backward<Real>({.call = call(2),
                                      .y = out_y,
                                      .tape = tape.data(),
                                      .dy = out_y,
                                      .dh_n = nullptr,
                                      .dc_n = ones.data(),
                                      .dx = {},
                                      .dh0 = states ? own_dh0.data() : nullptr,
                                      .dc0 = states ? own_dc0.data() : nullptr,
                                      .gradients = out}));
    bool same = !states || (own_dh0 == dh0 && own_dc0 == dc0);
    for (size_t k = 0; k < d.size(); ++k) {
      for (int part = 0; part < kParts; ++part) {
        const bool untouched = std::all_of(found[k][part].begin(), found[k][part].end(),
                                           [](Real v) { return v == Real{-99}; });
        same = same && (wanted[part] ? found[k][part] == d[k][part] : untouched);
      }
    }
    return same;
  }

  bool same_as(const Problem& other) const {
    return y == other.y && h_n == other.h_n && c_n == other.c_n && dx == other.dx &&
           dh0 == other.dh0 && dc0 == other.dc0 && d == other.d;
  }
};

double difference(const std::vector<float>& a, const std::vector<double>& b) {
  double worst = 0;
  for (size_t j = 0; j < a.size(); ++j) {
    worst = std::max(worst, std::fabs(static_cast<double>(a[j]) - b[j]) / (1 + std::fabs(b[j])));
  }
  return worst;
}

bool check(const Case& c) {
  Problem<double> exact(c);
  exact.loss();
  exact.gradients();
  double worst = 0;
  const auto probe = [&](std::vector<double>& parameter, const std::vector<double>& gradient) {
    for (size_t j = 0; j < parameter.size(); j += 1 + parameter.size() / 5) {
      const double saved = parameter[j], step = 1e-5;
      parameter[j] = saved + step;
      const double up = exact.loss();
      parameter[j] = saved - step;
      const double numeric = (up - exact.loss()) / (2 * step);
      parameter[j] = saved;
      worst = std::max(worst, std::fabs(numeric - gradient[j]) / (1 + std::fabs(numeric)));
    }
  };
  probe(exact.x, exact.dx), probe(exact.h0, exact.dh0), probe(exact.c0, exact.dc0);
  for (size_t k = 0; k < exact.own.size(); ++k) {
    for (int part = 0; part < kParts; ++part) probe(exact.own[k][part], exact.d[k][part]);
  }

  Problem<float> single(c), threaded(c), segments(c);
  segments.c.checkpoint_every = c.noise ? 0 : 3;
  single.loss(), threaded.loss(3), segments.loss(2);
  single.gradients(), threaded.gradients(3), segments.gradients(2);
  double rounding = std::max({difference(single.dx, exact.dx), difference(single.dh0, exact.dh0),
                              difference(single.dc0, exact.dc0)});
  for (size_t k = 0; k < exact.own.size(); ++k) {
    for (int part = 0; part < kParts; ++part) {
      rounding = std::max(rounding, difference(single.d[k][part], exact.d[k][part]));
    }
  }
  const bool parts_agree = single.same_without({}, true) && single.same_without({}, false) &&
                           single.same_without({false, true, false, true}, false) &&
                           single.same_without({true, false, true, false, true, true}, true);
  const bool threads_agree = single.same_as(threaded), segments_agree = single.same_as(segments);
  std::printf(
      "  T %2d B %2d L %d D %d I %2d H %2d  gradient %.1e  float32 %.1e  threads %s, "
      "checkpoints %s, parts %s  %s\n",
      static_cast<int>(c.T), static_cast<int>(c.B), static_cast<int>(c.net.L),
      static_cast<int>(c.net.D), static_cast<int>(c.net.I), static_cast<int>(c.net.H), worst,
      rounding, threads_agree ? "same bits" : "DIFFER", segments_agree ? "same bits" : "DIFFER",
      parts_agree ? "same bits" : "DIFFER", c.name);
  return worst < 1e-5 && rounding < 2e-5 && threads_agree && segments_agree && parts_agree;
}

// Hidden units shared out over threads, step by step: one row, and more threads than cores.
bool check_lockstep(const gatewise::Cell& cell) {
  const Case c{20, 1, {2, 1, 40, 230, false, cell}};
  Problem<float> alone(c), together(c);
  alone.loss(), together.loss(4);
  alone.gradients(), together.gradients(4);
  std::printf("  in lockstep: %s\n", alone.same_as(together) ? "same bits" : "DIFFER");
  return alone.same_as(together);
}

// Independent networks in one call.
bool check_each() {
  const Case cases[] = {{7, 3, {1, 1, 2, 9}}, {4, 2, {2, 2, 3, 17}}, {9, 1, {1, 1, 5, 8}}};
  std::vector<Problem<float>> alone, together;
  for (const Case& c : cases) alone.emplace_back(c), together.emplace_back(c);
  std::vector<gatewise::ForwardArgs<float>> forwards;
  std::vector<gatewise::BackwardArgs<float>> backwards;
  for (auto& one : alone) one.loss(), one.gradients();
  for (auto& one : together) forwards.push_back(one.forward_args(1));
  require(gatewise::forward_each<float>(forwards, 5));
  for (auto& one : together) backwards.push_back(one.backward_args(1));
  require(gatewise::backward_each<float>(backwards, 5));
  const bool same = std::equal(alone.begin(), alone.end(), together.begin(),
                               [](const auto& a, const auto& b) { return a.same_as(b); });
  std::printf("  networks of their own at once: %s\n", same ? "same bits" : "DIFFER");
  return same;
}

// Steps of a stream against the whole sequence, from the same states.
bool check_stream(const gatewise::Network& net) {
  const Case c{5, 3, net};
  Problem<float> whole(c);
  whole.loss();
  const auto owner = gatewise::Stream<float>::make(whole.packed, c.B);
  if (!owner) return false;
  gatewise::Stream<float>& stream = *owner;
  stream.set_state(whole.h0.data(), whole.c0.data());
  std::vector<float> y(whole.y.size()), h(whole.h_n.size()), cells(whole.c_n.size());
  for (int64_t t = 0; t < c.T; ++t) {
    stream.step(whole.x.data() + t * c.B * net.I, y.data() + t * c.B * net.P(), 1);
  }
  stream.get_state(h.data(), cells.data());
  const bool same = y == whole.y && h == whole.h_n && cells == whole.c_n;
  std::printf("  stream%s%s: %s\n", net.bfloat16 ? ", bfloat16" : "",
              net.cell == gatewise::Cell{} ? "" : ", another cell", same ? "same bits" : "DIFFER");
  return same;
}

// Several callers at once: one has the workers, the others run alone, all get the same bits.
bool check_concurrent_callers() {
  const Case c{40, 64, {1, 1, 16, 40}};
  Problem<float> expected(c);
  expected.loss();
  expected.gradients();
  std::atomic<bool> same{true};
  std::vector<std::thread> callers;
  for (int id = 0; id < 4; ++id) {
    callers.emplace_back([&] {
      Problem<float> own(c);
      for (int repeat = 0; repeat < 5; ++repeat) {
        own.loss(3);
        own.gradients(3);
        if (!own.same_as(expected)) same = false;
      }
    });
  }
  for (auto& caller : callers) caller.join();
  std::printf("  four callers at once: %s\n", same ? "same bits" : "DIFFER");
  return same;
}

}  // namespace

using enum gatewise::Function;
constexpr gatewise::Cell kPeepholes{.peephole = true};
constexpr gatewise::Cell kCoupled{
    .input_gate = kHardSigmoid, .cell_output = kSoftsign, .coupled = true};
constexpr gatewise::Cell kNormed{.layer_norm = true};
constexpr gatewise::Cell kMixed{kSoftsign, kSigmoid, kIdentity, kOne, kTanh, true, true, true};

// Scaled, sloped and shifted: a sigmoid made of tanh, and curves of no symmetry.
constexpr gatewise::Cell kShaped{.input_gate = {kTanh, .5, .5, .5},
                                 .forget_gate = {kSoftsign, .4, 1.5, .5},
                                 .candidate = {kSigmoid, 2, 2, -1},
                                 .output_gate = {kHardTanh, .5, .7, .5},
                                 .cell_output = {kTanh, 1.3, .8, .1},
                                 .peephole = true};
constexpr gatewise::Cell kShapedNormed{.input_gate = {kTanh, .5, .5, .5},
                                       .cell_output = {kSigmoid, 2, 2, -1},
                                       .coupled = true,
                                       .layer_norm = true};

const Case kVariants[] = {
    {4, 3, {1, 2, 3, 9, false, kShaped}, "shaped"},
    {4, 3, {2, 1, 3, 9, false, kShapedNormed, 4}, "shaped, normed"},
    {4, 3, {1, 2, 3, 9, false, kPeepholes}, "peepholes"},
    {4, 3, {1, 1, 3, 17, false, kCoupled}, "coupled"},
    {4, 3, {2, 1, 3, 17, false, kNormed}, "layer norm"},
    {4, 5, {2, 2, 3, 9, false, {}, 4}, "projection"},
    {5, 4, {2, 2, 3, 9}, "ragged", true},
    {4, 3, {1, 2, 3, 9}, "noise", false, true},
    {5, 4, {2, 2, 3, 9, false, kMixed, 5}, "all of it", true, true},
};
const Case kWide[] = {
    {6, 67, {1, 2, 9, 33, false, kMixed, 18}, "all of it", true, true},
    {9, 140, {1, 1, 3, 19, false, kCoupled}, "coupled, ragged", true},
};

// `native_smoke small`: less of it, for where every instruction costs.
int main(int count, char**) {
  const bool small = count > 1;
  bool ok = true;
  std::istringstream names{gatewise::isa_available()};
  for (std::string isa; names >> isa;) {
    gatewise::isa_select(isa.c_str());
    std::printf("%s\n", isa.c_str());
    for (const Case& c : {Case{1, 1, {1, 1, 1, 1}}, Case{3, 1, {2, 2, 7, 17}},
                          Case{5, 2, {1, 1, 5, 33}}, Case{4, 7, {3, 1, 3, 16}}}) {
      ok = check(c) && ok;
    }
    for (const Case& c : kVariants) ok = check(c) && ok;
    for (const gatewise::Network& net :
         {gatewise::Network{2, 1, 7, 33}, gatewise::Network{2, 1, 7, 33, true},
          gatewise::Network{2, 1, 7, 33, true, kPeepholes},
          gatewise::Network{2, 1, 7, 33, false, kMixed, 5}}) {
      ok = check_stream(net) && ok;
    }
    ok = check_each() && ok;
    if (small) continue;
    for (const Case& c :
         {Case{9, 33, {1, 2, 2, 7}}, Case{40, 37, {1, 1, 9, 19}}, Case{7, 64, {2, 2, 16, 130}}}) {
      ok = check(c) && ok;
    }
    for (const Case& c : kWide) ok = check(c) && ok;
    ok = check_lockstep({}) && check_lockstep(kPeepholes) && check_lockstep(kCoupled) && ok;
    ok = check_concurrent_callers() && ok;
  }
  return ok ? 0 : 1;
}
