// SPDX-License-Identifier: Apache-2.0
// NumPy's arrays without NumPy.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "fields.h"

namespace gatewise::bindings {

// A C-contiguous array through the buffer protocol, which takes no memory.
template <class Real>
class Buffer {
 public:
  Buffer(nb::handle array, int flags)
      : valid_(PyObject_GetBuffer(array.ptr(), &view_, flags | PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) ==
               0) {
    if (!valid_) PyErr_Clear();
  }
  ~Buffer() {
    if (valid_) PyBuffer_Release(&view_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  // Whether it is of the right type and shape, and aligned to its element.
  bool fits(std::initializer_list<int64_t> shape) const {
    constexpr char kFormat = sizeof(Real) == sizeof(float) ? 'f' : 'd';
    return valid_ && view_.format[0] == kFormat && view_.format[1] == '\0' &&
           reinterpret_cast<Address>(view_.buf) % alignof(Real) == 0 &&
           std::equal(shape.begin(), shape.end(), view_.shape, view_.shape + view_.ndim);
  }
  int64_t axis(int k) const { return valid_ && k < view_.ndim ? view_.shape[k] : -1; }
  Real* data() const { return static_cast<Real*>(view_.buf); }

 private:
  Py_buffer view_;
  const bool valid_;
};

}  // namespace gatewise::bindings
