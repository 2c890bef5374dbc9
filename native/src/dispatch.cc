// SPDX-License-Identifier: Apache-2.0
// The one point where an instruction set is chosen.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "kernels.h"
#include "memory.h"

namespace gatewise {
namespace {

#if defined(GATEWISE_HAVE_AVX512BF16)
// avx512, but for the forward products of bfloat16.
const Kernels& avx512bf16_kernels() {
  static const Kernels kernels = [] {
    Kernels k = avx512::kKernels;
    k.name = "avx512bf16";
    avx512bf16::use_dot(k.bf16);
    return k;
  }();
  return kernels;
}
#endif

// What this build holds and this machine runs, best first; then null.
struct Available {
  static constexpr size_t kMost = 6;
  const Kernels* all[kMost] = {};
  size_t count = 0;
  void push_back(const Kernels* k) { all[count++] = k; }
  void push_front(const Kernels* k) {
    for (size_t j = count++; j > 0; --j) all[j] = all[j - 1];
    all[0] = k;
  }
  const Kernels* const* begin() const { return all; }
  const Kernels* const* end() const { return all + count; }
};
Available available() {
  Available found;
#if defined(GATEWISE_HAVE_AVX512)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("fma")) {
    found.push_back(&avx512::kKernels);
#if defined(GATEWISE_HAVE_AVX512BF16)
    if (__builtin_cpu_supports("avx512bf16")) {
      // The dot product has twice the speed of two multiply-adds on AMD's processors, half of it on
      // Intel's: known by the vendor and not timed, so that the choice never varies.
      if (__builtin_cpu_is("amd")) {
        found.push_front(&avx512bf16_kernels());
      } else {
        found.push_back(&avx512bf16_kernels());
      }
    }
#endif
  }
#endif
#if defined(GATEWISE_HAVE_AVX2)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back(&avx2::kKernels);
  }
#endif
#if defined(GATEWISE_HAVE_NEON)
  found.push_back(&neon::kKernels);
#endif
#if defined(GATEWISE_HAVE_PORTABLE)
  found.push_back(&portable::kKernels);
#endif
  return found;
}

const Kernels* find(const char* name) {
  for (const Kernels* k : available()) {
    if (std::strcmp(k->name, name) == 0) return k;
  }
  return nullptr;
}

std::atomic<const Kernels*>& chosen() {
  // An unknown GATEWISE_ISA is reported by gatewise._native, which asks isa_select first.
  static std::atomic<const Kernels*> kernels = [] {
    const char* wanted = std::getenv("GATEWISE_ISA");
    const Kernels* found = wanted ? find(wanted) : nullptr;
    if (found) return found;
    const auto all = available();
    if (!all.count) std::abort();  // a build without the portable kernels, on another processor
    return *all.begin();
  }();
  return kernels;
}

// At load: a fork while another thread was the first to ask would leave the child with a static
// object that is being made for ever.
[[maybe_unused]] const bool ready = (chosen(), isa_available(), true);

}  // namespace

const Kernels& kernels() { return *chosen().load(std::memory_order_acquire); }

const char* isa_name() { return kernels().name; }

const char* isa_available() {
  struct Names {
    char text[128] = {};
    Names() {
      for (const Kernels* k : available()) {
        if (*text) std::strcat(text, " ");
        std::strcat(text, k->name);
      }
    }
  };
  static const Names names;
  return names.text;
}

bool isa_select(const char* name) {
  const Kernels* found = find(name);
  if (found) chosen().store(found, std::memory_order_release);
  return found != nullptr;
}

double fma_peak_gflops() { return kernels().fma_peak_gflops(); }
double read_gbs(size_t bytes) {
  const size_t n = (bytes / sizeof(float) / kReadNumbers + 1) * kReadNumbers;
  const Memory room(n * sizeof(float));
  auto* data = room.as<float>();
  if (!data) return 0;
  std::fill_n(data, n, 1.0f);
  return kernels().read_gbs(data, n);
}

template <class Real>
void activate(const Activation& which, int64_t n, const Real* x, Real* y) {
  kernels().table<Real>().activate(which, n, x, y);
}
template void activate<float>(const Activation&, int64_t, const float*, float*);
template void activate<double>(const Activation&, int64_t, const double*, double*);

}  // namespace gatewise
