// The core without Python, for machines that are emulated or instrumented (qemu, valgrind,
// sanitizers): forward and backward of odd shapes against finite differences in float64, and
// float32 against float64, on every instruction set. Exits 1 on a failure.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gatewise/lstm.h"

namespace {

struct Case {
  int64_t T, B;
  gatewise::Network net;
  int64_t checkpoint_every = 0;
};

template <class Real>
struct Problem {
  Case c;
  std::vector<Real> x, h0, c0, y, h_n, c_n, tape, dx, dh0, dc0;
  std::vector<std::vector<Real>> w_ih, w_hh, b, dw_ih, dw_hh, db;  // of each layer and direction
  gatewise::SharedWeights<Real> packed;

  explicit Problem(const Case& problem) : c(problem) {
    std::mt19937 random(7);
    std::uniform_real_distribution<double> uniform(-0.7, 0.7);
    const double scale = std::min(1.0, 5 / std::sqrt(static_cast<double>(c.net.H)));
    const auto filled = [&](int64_t n) {
      std::vector<Real> v(static_cast<size_t>(n));
      for (auto& e : v) e = static_cast<Real>(static_cast<float>(scale * uniform(random)));
      return v;
    };
    const int64_t L = c.net.L, D = c.net.D, I = c.net.I, H = c.net.H;
    x = filled(c.T * c.B * I), h0 = filled(L * D * c.B * H), c0 = filled(L * D * c.B * H);
    for (int64_t k = 0; k < L * D; ++k) {
      w_ih.push_back(filled(4 * H * c.net.inputs(k / D)));
      w_hh.push_back(filled(4 * H * H));
      b.push_back(filled(4 * H));
    }
    dw_ih = w_ih, dw_hh = w_hh, db = b;
    y.resize(static_cast<size_t>(c.T * c.B * D * H));
    h_n = h0, c_n = c0, dx = x, dh0 = h0, dc0 = c0;
  }

  gatewise::Sequence<const Real> input() const { return {x.data(), c.B * c.net.I, c.net.I}; }
  gatewise::Sequence<Real> output() {
    return {y.data(), c.B * c.net.D * c.net.H, c.net.D * c.net.H};
  }

  // Loss: sum of y squared, halved, plus the sum of c_n.
  double loss(int threads = 1) {
    std::vector<gatewise::Parameters<Real>> parameters;
    for (size_t k = 0; k < w_ih.size(); ++k) {
      parameters.push_back({w_ih[k].data(), w_hh[k].data(), b[k].data(), nullptr});
    }
    packed = gatewise::pack<Real>(c.net, parameters);
    tape.resize(gatewise::tape_size(*packed, c.T, c.B, c.checkpoint_every));
    gatewise::forward<Real>({*packed, c.T, c.B, threads, input(), h0.data(), c0.data(), output(),
                             h_n.data(), c_n.data(), tape.data(), c.checkpoint_every});
    double sum = 0;
    for (const Real v : y) sum += 0.5 * static_cast<double>(v) * static_cast<double>(v);
    for (const Real v : c_n) sum += static_cast<double>(v);
    return sum;
  }

  void gradients(int threads = 1) {
    const std::vector<Real> ones(c_n.size(), Real{1});
    std::vector<typename gatewise::BackwardArgs<Real>::Gradients> out;
    for (size_t k = 0; k < w_ih.size(); ++k) {
      out.push_back({dw_ih[k].data(), dw_hh[k].data(), db[k].data()});
    }
    gatewise::backward<Real>({*packed,
                              c.T,
                              c.B,
                              threads,
                              input(),
                              h0.data(),
                              c0.data(),
                              output(),
                              tape.data(),
                              output(),
                              nullptr,
                              ones.data(),
                              {dx.data(), c.B * c.net.I, c.net.I},
                              dh0.data(),
                              dc0.data(),
                              out,
                              c.checkpoint_every});
  }

  bool same_as(const Problem& other) const {
    return y == other.y && h_n == other.h_n && c_n == other.c_n && dx == other.dx &&
           dh0 == other.dh0 && dc0 == other.dc0 && dw_ih == other.dw_ih && dw_hh == other.dw_hh &&
           db == other.db;
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
  for (size_t k = 0; k < exact.w_ih.size(); ++k) {
    probe(exact.w_ih[k], exact.dw_ih[k]), probe(exact.w_hh[k], exact.dw_hh[k]);
    probe(exact.b[k], exact.db[k]);
  }

  Problem<float> single(c), threaded(c), segments(c);
  segments.c.checkpoint_every = 3;
  single.loss(), threaded.loss(3), segments.loss(2);
  single.gradients(), threaded.gradients(3), segments.gradients(2);
  double rounding = std::max({difference(single.dx, exact.dx), difference(single.dh0, exact.dh0),
                              difference(single.dc0, exact.dc0)});
  for (size_t k = 0; k < exact.w_ih.size(); ++k) {
    rounding = std::max({rounding, difference(single.dw_hh[k], exact.dw_hh[k]),
                         difference(single.dw_ih[k], exact.dw_ih[k]),
                         difference(single.db[k], exact.db[k])});
  }
  const bool threads_agree = single.same_as(threaded), segments_agree = single.same_as(segments);
  std::printf(
      "  T %2d B %2d L %d D %d I %2d H %2d  gradient %.1e  float32 %.1e  threads %s, "
      "checkpoints %s\n",
      static_cast<int>(c.T), static_cast<int>(c.B), static_cast<int>(c.net.L),
      static_cast<int>(c.net.D), static_cast<int>(c.net.I), static_cast<int>(c.net.H), worst,
      rounding, threads_agree ? "same bits" : "DIFFER", segments_agree ? "same bits" : "DIFFER");
  return worst < 1e-5 && rounding < 2e-5 && threads_agree && segments_agree;
}

// Hidden units shared out over threads, step by step: one row, and more threads than cores.
bool check_lockstep() {
  const Case c{20, 1, {2, 1, 40, 230}};
  Problem<float> alone(c), together(c);
  alone.loss(), together.loss(4);
  alone.gradients(), together.gradients(4);
  std::printf("  in lockstep: %s\n", alone.same_as(together) ? "same bits" : "DIFFER");
  return alone.same_as(together);
}

// Steps of a stream against the whole sequence, from the same states.
bool check_stream(bool bfloat16) {
  const Case c{5, 3, {2, 1, 7, 33, bfloat16}};
  Problem<float> whole(c);
  whole.loss();
  gatewise::Stream<float> stream(whole.packed, c.B);
  stream.set_state(whole.h0.data(), whole.c0.data());
  std::vector<float> y(whole.y.size()), h(whole.h_n.size()), cells(whole.c_n.size());
  for (int64_t t = 0; t < c.T; ++t) {
    stream.step(whole.x.data() + t * c.B * c.net.I, y.data() + t * c.B * c.net.H, 1);
  }
  stream.get_state(h.data(), cells.data());
  const bool same = y == whole.y && h == whole.h_n && cells == whole.c_n;
  std::printf("  stream%s: %s\n", bfloat16 ? ", bfloat16" : "", same ? "same bits" : "DIFFER");
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
    ok = check_stream(false) && check_stream(true) && ok;
    if (small) continue;
    for (const Case& c :
         {Case{9, 33, {1, 2, 2, 7}}, Case{40, 37, {1, 1, 9, 19}}, Case{7, 64, {2, 2, 16, 130}}}) {
      ok = check(c) && ok;
    }
    ok = check_lockstep() && ok;
    ok = check_concurrent_callers() && ok;
  }
  return ok ? 0 : 1;
}
