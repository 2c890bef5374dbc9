// SPDX-License-Identifier: Apache-2.0
// PyTorch's tensors without PyTorch: read through DLPack's table of functions, a C interface.
//
// What Python would ask of tensors, one attribute after the other, takes as long as a short call.
#pragma once

#include <nanobind/ndarray.h>

#include <vector>

#include "fields.h"

namespace gatewise::bindings {

// DLPack's DLPackExchangeAPI, from 1.3 on, under its own names: what a framework's tensor type has
// as __dlpack_c_exchange_api__.
struct ExchangeTable {
  uint32_t major, minor;
  ExchangeTable* prev_api;  // of an older major version, or null
  int (*managed_tensor_allocator)(void*, void**, void*, void (*)(void*, const char*, const char*));
  int (*managed_tensor_from_py_object_no_sync)(void*, void**);
  int (*managed_tensor_to_py_object_no_sync)(void*, void**);
  int (*dltensor_from_py_object_no_sync)(void* object, nb::dlpack::dltensor* out);  // may be null
  int (*current_work_stream)(int32_t, int32_t, void**);
};

// What `register_tensors` was given, and what is called of a tensor.
struct TensorTypes {
  PyTypeObject *tensor = nullptr, *parameter = nullptr;
  PyObject* empty_like = nullptr;
  Address lowest = 0;
  PyObject *is_neg = nullptr, *new_empty_strided = nullptr;        // names of methods
  int (*read)(void* object, nb::dlpack::dltensor* out) = nullptr;  // null: no tensor can be read
};
inline TensorTypes tensor_types;

// Call once, with torch.Tensor, torch.nn.Parameter, torch.empty_like, and the address below which
// there is perhaps no memory.
inline void register_tensors(nb::handle tensor, nb::handle parameter, nb::handle empty_like,
                             Address lowest) {
  TensorTypes& types = tensor_types;
  types.tensor = reinterpret_cast<PyTypeObject*>(tensor.ptr());
  types.parameter = reinterpret_cast<PyTypeObject*>(parameter.ptr());
  types.empty_like = empty_like.inc_ref().ptr();
  types.lowest = lowest;
  types.is_neg = PyUnicode_InternFromString("is_neg");
  types.new_empty_strided = PyUnicode_InternFromString("new_empty_strided");
  types.read = nullptr;
  const nb::object capsule = nb::getattr(tensor, "__dlpack_c_exchange_api__", nb::none());
  if (capsule.is_none()) return;
  const auto* table =
      static_cast<const ExchangeTable*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  if (!table) throw nb::python_error();
  while (table && table->major != 1) table = table->prev_api;
  if (table) types.read = table->dltensor_from_py_object_no_sync;
}

inline nb::object checked(PyObject* made) {
  if (!made) throw nb::python_error();
  return nb::steal(made);
}

// Of a tuple that outlives it.
inline nb::handle item(nb::handle tuple, Py_ssize_t k) { return PyTuple_GetItem(tuple.ptr(), k); }

// A tensor's address, shape and strides, if it is plain: exactly a Tensor or Parameter of floating
// numbers on the CPU, without a negation that is pending. To read a wrapper of another tensor
// fails, and one without memory has a low address.
class Tensor {
 public:
  static constexpr int kAxes = 3;

  Tensor() = default;
  explicit Tensor(nb::handle object) {
    PyObject* const self = object.ptr();
    const PyTypeObject* type = Py_TYPE(self);
    if (!tensor_types.read || (type != tensor_types.tensor && type != tensor_types.parameter))
      return;
    // Before anything is read: Python may let another thread run.
    if (!checked(PyObject_VectorcallMethod(tensor_types.is_neg, &self, 1, nullptr)).is(Py_False))
      return;
    plain_ = read(self) && address_ >= tensor_types.lowest && bits_;
  }
  // One that `empty` or `empty_like` has made.
  static Tensor made(nb::handle object) {
    Tensor tensor;
    if (!tensor.read(object.ptr())) throw nb::value_error("PyTorch's new tensor cannot be read");
    return tensor;
  }

  // Whether it is plain, of so many bits, and of a tuple's shape, in which -1 is any size, but in
  // axis 1 `rows`. No axis may be empty.
  bool is(nb::handle shape, int bits, int64_t rows) const {
    if (!plain_ || bits_ != bits || !PyTuple_Check(shape.ptr()) ||
        PyTuple_Size(shape.ptr()) != axes_) {
      return false;
    }
    for (int k = 0; k < axes_; ++k) {
      const long long wanted = PyLong_AsLongLong(item(shape, k).ptr());
      if (wanted == -1 && PyErr_Occurred()) throw nb::python_error();
      const bool fits = wanted == -1 ? k != 1 || size_[k] == rows : size_[k] == wanted;
      if (!fits || size_[k] == 0) return false;
    }
    return true;
  }
  bool is_dense() const { return dense_; }
  int64_t size(int axis) const { return size_[axis]; }
  Address address() const { return address_; }

 private:
  bool read(PyObject* object) {
    constexpr int32_t kCpu = 1;
    constexpr auto kFloat = static_cast<uint8_t>(nb::dlpack::dtype_code::Float);
    nb::dlpack::dltensor view;
    if (!tensor_types.read || tensor_types.read(object, &view) != 0) {
      PyErr_Clear();
      return false;
    }
    if (view.device.device_type != kCpu || view.ndim > kAxes) return false;
    if (view.dtype.code == kFloat && view.dtype.lanes == 1) bits_ = view.dtype.bits;
    address_ = reinterpret_cast<Address>(view.data) + view.byte_offset;
    axes_ = view.ndim;
    int64_t stride = 1;
    for (int k = axes_ - 1; k >= 0; --k) {
      size_[k] = view.shape[k];
      dense_ = dense_ && (size_[k] == 1 || view.strides[k] == stride);
      stride *= size_[k];
    }
    return true;
  }

  Address address_ = 0;
  int64_t size_[kAxes] = {};
  int axes_ = 0, bits_ = 0;
  bool plain_ = false, dense_ = true;
};

// Reads tensors of one dtype, each of its shape, in which -1 is any size above 0, but in axis 1
// that of the first tensor; None only where the shape is None. False if they are others, or not
// plain.
inline bool read_all(const nb::tuple& tensors, const nb::tuple& shapes, int bits,
                     std::vector<Tensor>& found) {
  const Py_ssize_t count = PyTuple_Size(tensors.ptr());
  if (count != PyTuple_Size(shapes.ptr())) return false;
  found.reserve(static_cast<size_t>(count));
  for (Py_ssize_t k = 0; k < count; ++k) {
    const nb::handle object = item(tensors, k), shape = item(shapes, k);
    const bool given = !object.is_none();
    found.push_back(given ? Tensor(object) : Tensor());
    const int64_t rows = found[0].size(1);
    if (given ? !found.back().is(shape, bits, rows) : !shape.is_none()) return false;
  }
  return true;
}

inline bool are_plain(const nb::tuple& tensors, const nb::tuple& shapes, int bits) {
  std::vector<Tensor> found;
  return read_all(tensors, shapes, bits, found);
}

// The same, and all are dense.
inline bool read_dense(const nb::tuple& tensors, const nb::tuple& shapes, int bits,
                       std::vector<Tensor>& found) {
  if (!read_all(tensors, shapes, bits, found)) return false;
  for (const Tensor& tensor : found) {
    if (!tensor.is_dense()) return false;
  }
  return true;
}

// A new tensor of another one's dtype, dense: of PyTorch's methods the quickest one.
inline nb::object empty(nb::handle like, const nb::tuple& shape) {
  int64_t stride = 1;
  const auto strides = nb::steal<nb::tuple>(PyTuple_New(static_cast<Py_ssize_t>(shape.size())));
  for (size_t k = shape.size(); k-- > 0;) {
    PyTuple_SetItem(strides.ptr(), static_cast<Py_ssize_t>(k), PyLong_FromLongLong(stride));
    stride *= nb::cast<int64_t>(shape[k]);
  }
  PyObject* const arguments[] = {like.ptr(), shape.ptr(), strides.ptr()};
  return checked(PyObject_VectorcallMethod(tensor_types.new_empty_strided, arguments, 3, nullptr));
}
// The same in the shape of a dense tensor, which takes less time.
inline nb::object empty_like(nb::handle dense) {
  PyObject* const argument = dense.ptr();
  return checked(PyObject_Vectorcall(tensor_types.empty_like, &argument, 1, nullptr));
}

}  // namespace gatewise::bindings
