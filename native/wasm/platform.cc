// SPDX-License-Identifier: Apache-2.0
// What libraries would ask an operating system for. A page has none: with these definitions the
// module imports nothing, and any page can start it.
#include <__verbose_abort>
#include <cstdlib>
#include <ctime>
#include <new>

extern "C" {
// Nothing that the page calls comes here: the core's clock is for callers that may end a call.
int clock_gettime(clockid_t, struct timespec* time) {
  *time = {};
  return 0;
}
char* getenv(const char*) { return nullptr; }
_Noreturn void abort() { __builtin_trap(); }
// Statics live as long as the page.
int __cxa_atexit(void (*)(void*), void*, void*) { return 0; }
}

// libc++ says here what went wrong, by way of a file.
void std::__libcpp_verbose_abort(const char*, ...) noexcept { __builtin_trap(); }

// Without exceptions a trap is all that is left here: binding.cc asks before, has_small_memory.
void* operator new(size_t bytes) {
  void* memory = std::malloc(bytes);
  if (!memory) __builtin_trap();
  return memory;
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return std::malloc(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
