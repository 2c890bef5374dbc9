// SPDX-License-Identifier: Apache-2.0
// One step at a time.
#pragma once

#include <atomic>
#include <memory>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

#include "weights.h"

namespace gatewise::bindings {

inline int this_process() {
#if defined(__unix__) || defined(__APPLE__)
  return static_cast<int>(getpid());
#else
  return 1;  // nothing forks
#endif
}

[[noreturn]] inline void raise(const char* message) {
  const nb::object error = nb::module_::import_("gatewise.errors").attr("StreamError");
  PyErr_SetString(error.ptr(), message);
  throw nb::python_error();
}

// A stream that says so when two threads use it at once, or when a fork has cut a step in two.
template <class Real>
class GuardedStream {
 public:
  explicit GuardedStream(std::unique_ptr<gatewise::Stream<Real>> stream)
      : stream_(std::move(stream)) {
    const gatewise::Network& n = stream_->network();
    constexpr double kWorthReleasing = 2e5;  // operations: a few microseconds
    double inputs = 0;                       // of all layers, each with its own states
    for (int64_t layer = 0; layer < n.L; ++layer) {
      inputs += static_cast<double>(n.inputs(layer)) + static_cast<double>(n.P());
    }
    const double rows = static_cast<double>(stream_->batch());
    releases_ = 8 * rows * static_cast<double>(n.H) * inputs > kWorthReleasing;
  }

  // Runs function(stream) alone. sets_state: it writes the whole state and reads nothing of it.
  template <class Function>
  void use(Function&& function, bool sets_state = false) {
    const int own = this_process();
    int holder = 0;
    if (!holder_.compare_exchange_strong(holder, own, std::memory_order_acquire)) {
      // A process that was forked in the midst of a step has nobody left to end it.
      if (holder == own || !holder_.compare_exchange_strong(holder, own)) {
        raise("another thread uses this stream: expected one at a time. Make a stream per thread.");
      }
      torn_ = true;
    }
    if (torn_ && !sets_state) {
      holder_.store(0, std::memory_order_release);
      raise(
          "this process was forked while another thread used this stream: expected a whole state, "
          "got "
          "one that may be half written. Call reset(), or set the state.");
    }
    torn_ = false;
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
  bool releases_ = false;
  bool torn_ = false;           // guarded by holder_
  std::atomic<int> holder_{0};  // the process that uses it
};

// rates: of zoneout.
template <class Real>
std::unique_ptr<GuardedStream<Real>> make_stream(const PackedWeights<Real>& weights, int64_t B,
                                                 Real rate_h, Real rate_c) {
  if (!gatewise::check_stream(weights.network(), B)) {
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
