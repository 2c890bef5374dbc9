// The core without Python, for machines that are emulated or instrumented (qemu, valgrind,
// sanitizers): forward and backward of odd shapes against finite differences in float64, and
// float32 against float64, on every instruction set. Exits 1 on a failure.
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

using gatewise::Shape;

template <class Real>
struct Problem {
  Shape s;
  std::vector<Real> x, h0, c0, w_ih, w_hh, b, y, h_n, c_n, tape;
  std::vector<Real> dx, dh0, dc0, dw_ih, dw_hh, db;

  explicit Problem(const Shape& shape) : s(shape) {
    std::mt19937 random(7);
    std::uniform_real_distribution<double> uniform(-0.7, 0.7);
    const auto fill = [&](std::vector<Real>& v, int64_t n) {
      v.resize(static_cast<size_t>(n));
      for (auto& e : v) e = static_cast<Real>(static_cast<float>(uniform(random)));
    };
    fill(x, s.T * s.B * s.I), fill(h0, s.B * s.H), fill(c0, s.B * s.H);
    fill(w_ih, 4 * s.H * s.I), fill(w_hh, 4 * s.H * s.H), fill(b, 4 * s.H);
    y.resize(static_cast<size_t>(s.T * s.B * s.H));
    h_n.resize(h0.size()), c_n.resize(c0.size());
    tape.resize(gatewise::tape_size<Real>(s));
    dx.resize(x.size()), dh0.resize(h0.size()), dc0.resize(c0.size());
    dw_ih.resize(w_ih.size()), dw_hh.resize(w_hh.size()), db.resize(b.size());
  }

  gatewise::Parameters<Real> parameters() const {
    return {w_ih.data(), w_hh.data(), b.data(), nullptr};
  }
  gatewise::Sequence<const Real> input() const { return {x.data(), s.B * s.I, s.I}; }

  // Loss: sum of y squared, halved, plus the sum of c_n.
  double loss(int threads = 1) {
    gatewise::forward<Real>({s,
                             false,
                             threads,
                             parameters(),
                             input(),
                             h0.data(),
                             c0.data(),
                             {y.data(), s.B * s.H, s.H},
                             h_n.data(),
                             c_n.data(),
                             tape.data()});
    double sum = 0;
    for (const Real v : y) sum += 0.5 * static_cast<double>(v) * static_cast<double>(v);
    for (const Real v : c_n) sum += static_cast<double>(v);
    return sum;
  }

  void gradients(int threads = 1) {
    const std::vector<Real> ones(c_n.size(), Real{1});
    gatewise::backward<Real>({s,
                              false,
                              threads,
                              parameters(),
                              input(),
                              h0.data(),
                              {y.data(), s.B * s.H, s.H},
                              tape.data(),
                              {y.data(), s.B * s.H, s.H},
                              nullptr,
                              ones.data(),
                              {dx.data(), s.B * s.I, s.I},
                              dh0.data(),
                              dc0.data(),
                              dw_ih.data(),
                              dw_hh.data(),
                              db.data()});
  }
};

double difference(const std::vector<float>& a, const std::vector<double>& b) {
  double worst = 0;
  for (size_t j = 0; j < a.size(); ++j) {
    worst = std::max(worst, std::fabs(static_cast<double>(a[j]) - b[j]) / (1 + std::fabs(b[j])));
  }
  return worst;
}

bool check(const Shape& s) {
  Problem<double> exact(s);
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
  probe(exact.w_ih, exact.dw_ih), probe(exact.w_hh, exact.dw_hh), probe(exact.b, exact.db);

  Problem<float> single(s), threaded(s);
  single.loss(), threaded.loss(3);
  single.gradients(), threaded.gradients(3);
  double rounding = 0;
  for (const double d : {difference(single.dx, exact.dx), difference(single.dw_hh, exact.dw_hh),
                         difference(single.dw_ih, exact.dw_ih), difference(single.db, exact.db),
                         difference(single.dh0, exact.dh0), difference(single.dc0, exact.dc0)}) {
    rounding = std::max(rounding, d);
  }
  const bool same = single.y == threaded.y && single.dx == threaded.dx &&
                    single.dw_hh == threaded.dw_hh && single.dw_ih == threaded.dw_ih;
  std::printf("  T %2d B %2d I %2d H %2d  gradient %.1e  float32 %.1e  threads %s\n",
              static_cast<int>(s.T), static_cast<int>(s.B), static_cast<int>(s.I),
              static_cast<int>(s.H), worst, rounding, same ? "same bits" : "DIFFER");
  return worst < 1e-5 && rounding < 2e-5 && same;
}

// Several callers at once: one has the workers, the others run alone, all get the same bits.
bool check_concurrent_callers() {
  const Shape s{40, 64, 16, 40};
  Problem<float> expected(s);
  expected.loss();
  expected.gradients();
  std::atomic<bool> same{true};
  std::vector<std::thread> callers;
  for (int id = 0; id < 4; ++id) {
    callers.emplace_back([&] {
      Problem<float> own(s);
      for (int repeat = 0; repeat < 5; ++repeat) {
        own.loss(3);
        own.gradients(3);
        if (own.y != expected.y || own.dw_hh != expected.dw_hh) same = false;
      }
    });
  }
  for (auto& caller : callers) caller.join();
  std::printf("  four callers at once: %s\n", same ? "same bits" : "DIFFER");
  return same;
}

}  // namespace

int main() {
  bool ok = true;
  std::istringstream names{gatewise::isa_available()};
  for (std::string isa; names >> isa;) {
    gatewise::isa_select(isa.c_str());
    std::printf("%s\n", isa.c_str());
    for (const Shape& s :
         {Shape{1, 1, 1, 1}, Shape{3, 1, 7, 17}, Shape{5, 2, 5, 33}, Shape{4, 7, 3, 16},
          Shape{9, 33, 2, 7}, Shape{40, 37, 9, 19}, Shape{40, 64, 16, 40}}) {
      ok = check(s) && ok;
    }
    ok = check_concurrent_callers() && ok;
  }
  return ok ? 0 : 1;
}
