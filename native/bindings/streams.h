// SPDX-License-Identifier: Apache-2.0
// One step at a time.
#pragma once

#include <unistd.h>

#include <atomic>
#include <memory>

#include "weights.h"

namespace gatewise::bindings {

// A stream that says so when two threads use it at once.
template <class Real>
class GuardedStream {
 public:
  explicit GuardedStream(std::unique_ptr<gatewise::Stream<Real>> stream)
      : stream_(std::move(stream)) {
    const gatewise::Network& n = stream_->network();
    constexpr double kWorthReleasing = 2e5;  // operations: a few microseconds
    operations_ = 8.0 * static_cast<double>(n.L) * static_cast<double>(stream_->batch()) *
                  static_cast<double>(n.H) * static_cast<double>(n.inputs(1) + n.P());
    releases_ = operations_ > kWorthReleasing;
  }

  // Runs function(stream) alone.
  template <class Function>
  void use(Function&& function) {
    // A process that was forked in the midst of a step has nobody left to end it.
    const int own = static_cast<int>(getpid());
    int holder = 0;
    if (!holder_.compare_exchange_strong(holder, own, std::memory_order_acquire) &&
        (holder == own || !holder_.compare_exchange_strong(holder, own))) {
      throw std::runtime_error(
          "another thread uses this stream: expected one at a time. Make a stream per thread.");
    }
    if (releases_) {
      const WithoutGil without_gil;
      function(*stream_);
    } else {
      function(*stream_);
    }
    holder_.store(0, std::memory_order_release);
  }
  const gatewise::Stream<Real>& stream() const { return *stream_; }

 private:
  std::unique_ptr<gatewise::Stream<Real>> stream_;
  double operations_ = 0;
  bool releases_ = false;
  std::atomic<int> holder_{0};  // the process that uses it
};

// rates: of zoneout.
template <class Real>
std::unique_ptr<GuardedStream<Real>> make_stream(const PackedWeights<Real>& weights, int64_t B,
                                                 Real rate_h, Real rate_c) {
  if (B < 1 || weights.network().D != 1 || !gatewise::check(weights.network(), 1, B)) {
    raise_unless_ok(gatewise::Status::kBadSize);
  }
  auto made = gatewise::Stream<Real>::make(weights.shared(), B, {rate_h, rate_c});
  if (!made) throw std::bad_alloc();
  return std::make_unique<GuardedStream<Real>>(std::move(made));
}

// False, and nothing done, if an array does not fit: x [B, I] or [I], out [B, P] or [P].
template <class Real>
bool try_step(GuardedStream<Real>& guarded, nb::handle x, nb::handle out, int threads) {
  const Buffer<Real> in(x, PyBUF_SIMPLE), to(out, PyBUF_WRITABLE);
  const auto& stream = guarded.stream();
  const int64_t B = stream.batch(), I = stream.network().I, P = stream.network().P();
  const bool one = B == 1 && in.fits({I}) && to.fits({P});
  if (!one && !(in.fits({B, I}) && to.fits({B, P}))) return false;
  guarded.use([&](auto& s) { s.step(in.data(), to.data(), threads); });
  return true;
}
template <class Real>
void step(GuardedStream<Real>& guarded, nb::handle x, nb::handle out, int threads) {
  if (!try_step(guarded, x, out, threads)) {
    throw nb::value_error("step: x or out has another shape or dtype, gaps, or is not aligned");
  }
}

}  // namespace gatewise::bindings
