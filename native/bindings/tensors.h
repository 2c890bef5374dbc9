// SPDX-License-Identifier: Apache-2.0
// PyTorch's tensors without PyTorch: read through DLPack's table of functions, a C interface.
//
// What Python would ask of tensors, one attribute after the other, takes as long as a short call.
#pragma once

#include <nanobind/ndarray.h>

#include <vector>

#include "fields.h"

namespace gatewise::bindings {

// DLPackExchangeAPI, from DLPack 1.3 on: what a framework's type has as __dlpack_c_exchange_api__.
struct ExchangeFunctions {
  uint32_t major, minor;
  ExchangeFunctions* previous;
  int (*allocate)(void*, void**, void*, void (*)(void*, const char*, const char*));
  int (*to_managed)(void*, void**);
  int (*from_managed)(void*, void**);
  int (*read)(void* object, nb::dlpack::dltensor* out);
  int (*stream)(int32_t, int32_t, void**);
};

// The two types of plain tensors, and what is called of them; nothing before `read_tensors`.
struct TensorTypes {
  PyTypeObject *tensor = nullptr, *parameter = nullptr;
  const ExchangeFunctions* functions = nullptr;
  PyObject *is_neg = nullptr, *new_empty_strided = nullptr;
};
inline TensorTypes tensor_types;

// Call once, with torch.Tensor and torch.nn.Parameter.
inline void read_tensors(nb::handle tensor, nb::handle parameter) {
  const nb::object table = tensor.attr("__dlpack_c_exchange_api__");
  const auto* found = static_cast<const ExchangeFunctions*>(
      PyCapsule_GetPointer(table.ptr(), "dlpack_exchange_api"));
  if (!found) throw nb::python_error();
  if (found->major != 1 || !found->read) throw nb::value_error("another version of DLPack");
  tensor_types = {reinterpret_cast<PyTypeObject*>(tensor.ptr()),
                  reinterpret_cast<PyTypeObject*>(parameter.ptr()), found,
                  PyUnicode_InternFromString("is_neg"),
                  PyUnicode_InternFromString("new_empty_strided")};
}

// A tensor as numbers in memory, if it is: a type of its own may mean something else, and so may a
// negation that is pending. Whatever wraps another tensor has no memory to read, and zeros without
// memory, or a storage that was resized to nothing, have a low address.
class Tensor {
 public:
  // The object must live longer.
  explicit Tensor(nb::handle object) {
    PyObject* const self = object.ptr();
    const PyTypeObject* type = Py_TYPE(self);
    if (type != tensor_types.tensor && type != tensor_types.parameter) return;
    if (tensor_types.functions->read(self, &view_) != 0) {
      PyErr_Clear();
      return;
    }
    constexpr int32_t kCpu = 1;
    constexpr Address kLowest = Address{1} << 32;  // below, it may be an offset
    plain_ = view_.device.device_type == kCpu && address() >= kLowest &&
             !nb::steal(PyObject_VectorcallMethod(tensor_types.is_neg, &self, 1, nullptr))
                  .is(nb::handle(Py_True));
  }

  // Whether it has such numbers, in a tuple's shape, in which -1 is any size above 0.
  bool is(nb::handle shape_of, int bits) const {
    constexpr auto kFloat = static_cast<uint8_t>(nb::dlpack::dtype_code::Float);
    if (!plain_ || view_.dtype != nb::dlpack::dtype{kFloat, static_cast<uint8_t>(bits), 1} ||
        !PyTuple_Check(shape_of.ptr())) {
      return false;
    }
    const auto shape = nb::borrow<nb::tuple>(shape_of);
    if (static_cast<size_t>(view_.ndim) != shape.size()) return false;
    for (int32_t k = 0; k < view_.ndim; ++k) {
      const auto wanted = nb::cast<int64_t>(shape[static_cast<size_t>(k)]);
      if (view_.shape[k] == 0 || (wanted != view_.shape[k] && wanted != -1)) return false;
    }
    return true;
  }

  bool is_dense() const {
    int64_t stride = 1;
    for (int32_t k = view_.ndim - 1; k >= 0; --k) {
      if (view_.shape[k] != 1 && view_.strides[k] != stride) return false;
      stride *= view_.shape[k];
    }
    return true;
  }

  int64_t size(int axis) const { return view_.shape[axis]; }
  Address address() const { return reinterpret_cast<Address>(view_.data) + view_.byte_offset; }

 private:
  nb::dlpack::dltensor view_;  // of no axes before it is read
  bool plain_ = false;
};

// Whether all are plain numbers of so many bits, each of its shape; None where the shape is None.
inline bool are_plain(const nb::tuple& tensors, const nb::tuple& shapes, int bits) {
  if (tensors.size() != shapes.size()) return false;
  for (size_t k = 0; k < tensors.size(); ++k) {
    const nb::object object = tensors[k], shape = shapes[k];
    if (object.is_none() ? !shape.is_none() : !Tensor(object).is(shape, bits)) return false;
  }
  return true;
}

// Finds the address of each, 0 for None; false if not all are plain, or one is not dense.
inline bool find_dense(const nb::tuple& tensors, const nb::tuple& shapes, int bits,
                       std::vector<Address>& found) {
  if (tensors.size() != shapes.size()) return false;
  for (size_t k = 0; k < tensors.size(); ++k) {
    const nb::object object = tensors[k], shape = shapes[k];
    const Tensor tensor(object);
    if (object.is_none() ? !shape.is_none() : !tensor.is(shape, bits) || !tensor.is_dense()) {
      return false;
    }
    found.push_back(tensor.address());
  }
  return true;
}

// A new tensor of another one's dtype, dense. In PyTorch's Python there is no quicker way to one.
inline nb::object empty(nb::handle like, const nb::tuple& shape) {
  int64_t stride = 1;
  const auto strides = nb::steal<nb::tuple>(PyTuple_New(static_cast<Py_ssize_t>(shape.size())));
  for (size_t k = shape.size(); k-- > 0;) {
    PyTuple_SetItem(strides.ptr(), static_cast<Py_ssize_t>(k), PyLong_FromLongLong(stride));
    stride *= nb::cast<int64_t>(shape[k]);
  }
  PyObject* const arguments[] = {like.ptr(), shape.ptr(), strides.ptr()};
  PyObject* const made =
      PyObject_VectorcallMethod(tensor_types.new_empty_strided, arguments, 3, nullptr);
  if (!made) throw nb::python_error();
  return nb::steal(made);
}

}  // namespace gatewise::bindings
