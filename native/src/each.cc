// SPDX-License-Identifier: Apache-2.0
// Independent calls at once.
#include <atomic>

#include "gatewise/lstm.h"
#include "threads.h"

namespace gatewise {
namespace {

// Calls run(args) for each, with one thread each.
template <class Args, class Run>
Status each(std::span<const Args> calls, int threads, const Run& run) {
  std::atomic<int> first{static_cast<int>(Status::kOk)};
  parallel_for(threads, static_cast<int64_t>(calls.size()), [&](int64_t item, int) {
    if (first.load() != static_cast<int>(Status::kOk)) return;
    Args args = calls[static_cast<size_t>(item)];
    args.call.threads = 1;
    const Status status = run(args);
    int expected = static_cast<int>(Status::kOk);
    if (status != Status::kOk) first.compare_exchange_strong(expected, static_cast<int>(status));
  });
  return static_cast<Status>(first.load());
}

}  // namespace

template <class Real>
Status forward_each(std::span<const ForwardArgs<Real>> calls, int threads) {
  return each(calls, threads, [](const ForwardArgs<Real>& args) { return forward(args); });
}

template <class Real>
Status backward_each(std::span<const BackwardArgs<Real>> calls, int threads) {
  return each(calls, threads, [](const BackwardArgs<Real>& args) { return backward(args); });
}

template Status forward_each<float>(std::span<const ForwardArgs<float>>, int);
template Status forward_each<double>(std::span<const ForwardArgs<double>>, int);
template Status backward_each<float>(std::span<const BackwardArgs<float>>, int);
template Status backward_each<double>(std::span<const BackwardArgs<double>>, int);

}  // namespace gatewise
