// SPDX-License-Identifier: Apache-2.0
// Python's lock: given back during the work, and taken where signals are looked at.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <chrono>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace gatewise::bindings {

namespace nb = nanobind;

// Without the lock, as long as it lives.
//
// Once the interpreter finalizes, up to Python 3.13, it ends every daemon thread that asks for the
// lock, by unwinding its stack; and a frame that lets nothing through, as nanobind's, then ends
// the process with an abort. Such a thread rests here for ever instead, as in Python 3.14.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// Python's main thread, which alone runs the handlers of signals; after a fork, the one that
// forked.
inline std::atomic<unsigned long> main_thread{0};

// Call once, with the lock.
inline void find_main_thread() {
  const nb::object thread = nb::module_::import_("threading").attr("main_thread")();
  main_thread = nb::cast<unsigned long>(thread.attr("ident"));
#if defined(__unix__) || defined(__APPLE__)
  pthread_atfork(nullptr, nullptr, [] { main_thread = PyThread_get_thread_ident(); });
#endif
}

// Ctrl-C ends a long call: Python's handlers run between chunks of it.
inline bool signalled(void*) {
  if (PyThread_get_thread_ident() != main_thread) return false;
  const nb::gil_scoped_acquire acquire;
  return PyErr_CheckSignals() != 0;
}

}  // namespace gatewise::bindings
