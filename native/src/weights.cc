// SPDX-License-Identifier: Apache-2.0
#include "weights.h"

#include <algorithm>
#include <new>

namespace gatewise {
namespace {

// Numbers for each unit in peepholes, and in the layer norms of gates and of c.
constexpr size_t kPeephole = 3, kNorm = 8, kNormOfCells = 2;

// Calls function(member, elements) for each array that one layer and direction may have.
template <class Real, class Function>
void for_each_array(const Network& net, int64_t index, Function&& function) {
  using P = Parameters<Real>;
  const int64_t H = net.H;
  function(&P::w_ih, 4 * H * net.inputs(index / net.D));
  function(&P::w_hh, 4 * H * net.P());
  function(&P::b_ih, 4 * H);
  function(&P::b_hh, 4 * H);
  function(&P::w_hr, net.P() * H);
  function(&P::peephole, 3 * H);
  function(&P::norm_ih, 8 * H);
  function(&P::norm_hh, 8 * H);
  function(&P::norm_c, 2 * H);
}

template <class Real>
uint64_t fingerprint_of(const KernelTable<Real>& table, const Network& net,
                        std::span<const Parameters<Real>> parameters) {
  uint64_t value = 0;
  for (size_t k = 0; k < parameters.size(); ++k) {
    for_each_array<Real>(net, static_cast<int64_t>(k), [&](auto member, int64_t elements) {
      const Real* array = parameters[k].*member;
      value = table.fingerprint(value, array, array ? elements : 0);
    });
  }
  return value;
}

// The parameters as they are now, which nobody else writes to.
template <class Real>
class Snapshot {
 public:
  Snapshot(const Network& net, std::span<const Parameters<Real>> parameters)
      : copies_(parameters.begin(), parameters.end()) {
    size_t total = 0;
    each(net, [&](const Real*&, size_t elements) { total += elements; });
    Real* next = workspace_.take<Real>(Slot::kSnapshot, total);
    if (!next) return;
    each(net, [&](const Real*& array, size_t elements) {
      std::copy_n(array, elements, next);
      array = next;
      next += elements;
    });
  }
  bool has_memory() const { return !workspace_.failed(); }
  std::span<const Parameters<Real>> parameters() const { return copies_; }

 private:
  template <class Function>
  void each(const Network& net, Function&& function) {
    for (size_t k = 0; k < copies_.size(); ++k) {
      for_each_array<Real>(net, static_cast<int64_t>(k), [&](auto member, int64_t elements) {
        if (copies_[k].*member) function(copies_[k].*member, static_cast<size_t>(elements));
      });
    }
  }

  std::vector<Parameters<Real>> copies_;
  Workspace workspace_;
};

// Null if there is no memory.
template <class Real>
std::shared_ptr<Weights<Real>> unpacked(const Network& network) {
  auto made = std::make_shared<Weights<Real>>(network);
  return made->has_memory() ? made : nullptr;
}

}  // namespace

template <class Real>
Weights<Real>::Weights(const Network& net)
    : network(net), kernels(gatewise::kernels().table<Real>(network.bfloat16)) {
  panels_at_.push_back(0), blocks_at_.push_back(0);
  for (int64_t k = 0; k < network.L * network.D; ++k) {
    const BufferSizes sizes = kernels.sizes(shape(k, 0, 0));
    panels_at_.push_back(panels_at_.back() + whole_lines<Real>(sizes.bias + sizes.weights) +
                         extras_size(sizes));
    blocks_at_.push_back(blocks_at_.back() + whole_lines<Real>(sizes.weights_hh) +
                         whole_lines<Real>(sizes.weights_ih));
  }
  panels_ = Memory(panels_at_.back() * sizeof(Real));
}

template <class Real>
Weights<Real>::~Weights() {
  delete blocks_.load();
  delete spare_.load();
}

template <class Real>
bool Weights<Real>::pack(std::span<const Parameters<Real>> parameters) {
  if (Memory* old = blocks_.exchange(nullptr)) delete spare_.exchange(old);
  for (size_t k = 0; k < parameters.size(); ++k) {
    const auto index = static_cast<int64_t>(k);
    const Panels to = panels(index);
    const Shape s = shape(index, 0, 0);
    const Memory room = room_for_panels(s);
    if (kernels.expand && !room.bytes()) return false;
    kernels.pack_forward(s, parameters[k], const_cast<Real*>(to.weights),
                         const_cast<Real*>(to.bias), room.as<Real>());
    pack_extras(s, parameters[k], to.extras);
  }
  return true;
}

template <class Real>
Memory Weights<Real>::room_for_panels(const Shape& s) const {
  return kernels.expand ? Memory(kernels.sizes(s).gradients * sizeof(Real)) : Memory();
}

template <class Real>
typename Weights<Real>::Panels Weights<Real>::panels(int64_t index) const {
  const BufferSizes sizes = kernels.sizes(shape(index, 0, 0));
  const Real* bias = panels_.as<Real>() + panels_at_[static_cast<size_t>(index)];
  return {bias + sizes.bias, bias,
          extras(sizes, bias + whole_lines<Real>(sizes.bias + sizes.weights))};
}

template <class Real>
size_t Weights<Real>::extras_size(const BufferSizes& sizes) const {
  size_t per_unit = 0;
  if (network.cell.peephole) per_unit += kPeephole;
  if (network.cell.layer_norm) per_unit += 2 * kNorm + kNormOfCells;
  const size_t projections = network.projection ? sizes.project + sizes.unproject : 0;
  return whole_lines<Real>(per_unit * sizes.unit) + whole_lines<Real>(projections);
}

template <class Real>
Extras<Real> Weights<Real>::extras(const BufferSizes& sizes, const Real* next) const {
  const auto take = [&](bool has, size_t elements) {
    const Real* own = has ? next : nullptr;
    if (has) next += elements;
    return own;
  };
  const bool norm = network.cell.layer_norm, projection = network.projection;
  return {.peephole = take(network.cell.peephole, kPeephole * sizes.unit),
          .norm_ih = take(norm, kNorm * sizes.unit),
          .norm_hh = take(norm, kNorm * sizes.unit),
          .norm_c = take(norm, kNormOfCells * sizes.unit),
          .project = take(projection, sizes.project),
          .unproject = take(projection, sizes.unproject)};
}

template <class Real>
void Weights<Real>::pack_extras(const Shape& s, const Parameters<Real>& from,
                                const Extras<Real>& to) const {
  const auto units = [&](size_t count, const Real* w, const Real* out) {
    if (out) kernels.pack_units(s.H, static_cast<int64_t>(count), w, const_cast<Real*>(out));
  };
  units(kPeephole, from.peephole, to.peephole);
  units(kNorm, from.norm_ih, to.norm_ih);
  units(kNorm, from.norm_hh, to.norm_hh);
  units(kNormOfCells, from.norm_c, to.norm_c);
  if (to.project) {
    kernels.pack_projection(s, from.w_hr, const_cast<Real*>(to.project),
                            const_cast<Real*>(to.unproject));
  }
}

template <class Real>
const Real* Weights<Real>::blocks() const {
  if (const Memory* ready = blocks_.load(std::memory_order_acquire)) return ready->as<Real>();
  std::unique_ptr<Memory> made(spare_.exchange(nullptr));
  if (!made) made.reset(new (std::nothrow) Memory(blocks_at_.back() * sizeof(Real)));
  if (!made || !made->bytes() || !pack_blocks(made->as<Real>())) return nullptr;
  Memory* first = nullptr;
  if (!blocks_.compare_exchange_strong(first, made.get(), std::memory_order_acq_rel)) {
    delete spare_.exchange(made.release());  // another thread was first
    return first->as<Real>();
  }
  return made.release()->as<Real>();
}

template <class Real>
typename Weights<Real>::Blocks Weights<Real>::blocks(const Real* all, int64_t index) const {
  const Real* hh = all + blocks_at_[static_cast<size_t>(index)];
  return {hh, hh + whole_lines<Real>(kernels.sizes(shape(index, 0, 0)).weights_hh)};
}

template <class Real>
bool Weights<Real>::pack_blocks(Real* all) const {
  for (int64_t k = 0; k < network.L * network.D; ++k) {
    const Shape s = shape(k, 0, 0);
    const int64_t columns = s.I + s.P;
    const Blocks to = blocks(all, k);
    const Real* from = panels(k).weights;
    const Memory room = room_for_panels(s);
    if (kernels.expand) {
      if (!room.bytes()) return false;
      kernels.expand(s, from, room.as<Real>());
      from = room.as<Real>();
    }
    kernels.pack_backward(s.H, columns, s.I, s.P, from, const_cast<Real*>(to.hh));
    kernels.pack_backward(s.H, columns, 0, s.I, from, const_cast<Real*>(to.ih));
  }
  return true;
}

template <class Real>
SharedWeights<Real> pack(const Network& network, std::span<const Parameters<Real>> parameters) {
  if (!check(network)) return nullptr;
  auto weights = unpacked<Real>(network);
  return weights && weights->pack(parameters) ? weights : nullptr;
}

template <class Real>
SharedWeights<Real> WeightsCache<Real>::get(std::span<const Parameters<Real>> parameters) {
  if (!check(network_)) return nullptr;
  const KernelTable<Real>& table = kernels().table<Real>(network_.bfloat16);
  const auto usable = [&](const std::shared_ptr<Weights<Real>>& w) {
    return w && &w->kernels == &table;
  };
  const uint64_t seen = fingerprint_of(table, network_, parameters);
  // A call may still read the old weights, or a backward pass wait for them: two take turns, so
  // that training does not take new memory at each step.
  std::shared_ptr<Weights<Real>> fresh;
  {
    const auto lock = short_lock();
    if (usable(weights_) && seen == fingerprint_) return weights_;
    fresh = std::move(spare_);
  }
  if (!usable(fresh) || fresh.use_count() > 1) fresh = unpacked<Real>(network_);
  // Whoever let go of it has read it all: counting up and down comes after them.
  std::shared_ptr<Weights<Real>>(fresh).reset();
  const Snapshot<Real> now(network_, parameters);
  if (!fresh || !now.has_memory() || !fresh->pack(now.parameters())) return nullptr;
  const uint64_t packed = fingerprint_of(table, network_, now.parameters());
  std::shared_ptr<Weights<Real>> gone;  // freed when the lock is no longer held
  const auto lock = short_lock();
  gone = std::move(spare_);
  spare_ = std::move(weights_);
  weights_ = fresh;
  fingerprint_ = packed;
  return fresh;
}

template class Weights<float>;
template class Weights<double>;
template SharedWeights<float> pack(const Network&, std::span<const Parameters<float>>);
template SharedWeights<double> pack(const Network&, std::span<const Parameters<double>>);
template class WeightsCache<float>;
template class WeightsCache<double>;

}  // namespace gatewise
