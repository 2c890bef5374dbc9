#include "weights.h"

namespace gatewise {
namespace {

// Numbers for each unit in peepholes, and in the layer norms of gates and of c.
constexpr size_t kPeephole = 3, kNorm = 8, kNormOfCells = 2;

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
void Weights<Real>::pack(std::span<const Parameters<Real>> parameters) {
  for (size_t k = 0; k < parameters.size(); ++k) {
    const auto index = static_cast<int64_t>(k);
    const Panels to = panels(index);
    const Shape s = shape(index, 0, 0);
    kernels.pack_forward(s, parameters[k], const_cast<Real*>(to.weights),
                         const_cast<Real*>(to.bias), room_for_panels(s));
    pack_extras(s, parameters[k], to.extras);
  }
  blocks_packed_ = false;
}

template <class Real>
Real* Weights<Real>::room_for_panels(const Shape& s) const {
  return kernels.expand ? scratch<Real>(Slot::kAgain, kernels.sizes(s).gradients) : nullptr;
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
typename Weights<Real>::Blocks Weights<Real>::blocks(int64_t index) const {
  {
    const std::lock_guard lock(mutex_);
    if (!blocks_packed_) pack_blocks();
  }
  const Real* hh = blocks_.as<Real>() + blocks_at_[static_cast<size_t>(index)];
  return {hh, hh + whole_lines<Real>(kernels.sizes(shape(index, 0, 0)).weights_hh)};
}

template <class Real>
void Weights<Real>::pack_blocks() const {
  if (!blocks_.bytes()) blocks_ = Memory(blocks_at_.back() * sizeof(Real));
  for (int64_t k = 0; k < network.L * network.D; ++k) {
    const Shape s = shape(k, 0, 0);
    const int64_t columns = s.I + s.P;
    Real* hh = blocks_.as<Real>() + blocks_at_[static_cast<size_t>(k)];
    Real* ih = hh + whole_lines<Real>(kernels.sizes(s).weights_hh);
    const Real* from = panels(k).weights;
    if (kernels.expand) {
      Real* room = room_for_panels(s);
      kernels.expand(s, from, room);
      from = room;
    }
    kernels.pack_backward(s.H, columns, s.I, s.P, from, hh);
    kernels.pack_backward(s.H, columns, 0, s.I, from, ih);
  }
  blocks_packed_ = true;
}

template <class Real>
SharedWeights<Real> pack(const Network& network, std::span<const Parameters<Real>> parameters) {
  auto weights = std::make_shared<Weights<Real>>(network);
  weights->pack(parameters);
  return weights;
}

template <class Real>
SharedWeights<Real> WeightsCache<Real>::get(std::span<const Parameters<Real>> parameters) {
  const KernelTable<Real>& table = kernels().table<Real>(network_.bfloat16);
  const std::lock_guard lock(mutex_);
  const bool usable = weights_ && &weights_->kernels == &table;
  uint64_t now = 0;
  for (size_t k = 0; k < parameters.size(); ++k) {
    const Parameters<Real>& p = parameters[k];
    const int64_t H = network_.H, I = network_.inputs(static_cast<int64_t>(k) / network_.D);
    now = table.fingerprint(now, p.w_ih, 4 * H * I);
    now = table.fingerprint(now, p.w_hh, 4 * H * network_.P());
    now = table.fingerprint(now, p.b_ih, p.b_ih ? 4 * H : 0);
    now = table.fingerprint(now, p.b_hh, p.b_hh ? 4 * H : 0);
    now = table.fingerprint(now, p.w_hr, p.w_hr ? network_.P() * H : 0);
    now = table.fingerprint(now, p.peephole, p.peephole ? 3 * H : 0);
    now = table.fingerprint(now, p.norm_ih, p.norm_ih ? 8 * H : 0);
    now = table.fingerprint(now, p.norm_hh, p.norm_hh ? 8 * H : 0);
    now = table.fingerprint(now, p.norm_c, p.norm_c ? 2 * H : 0);
  }
  if (usable && now == fingerprint_) return weights_;
  // A call may still read the old ones, or a backward pass wait for them: by turns two, so that
  // training does not take new memory at each step.
  weights_.swap(spare_);
  if (!weights_ || &weights_->kernels != &table || weights_.use_count() > 1) {
    weights_ = std::make_shared<Weights<Real>>(network_);
  }
  weights_->pack(parameters);
  fingerprint_ = now;
  return weights_;
}

template class Weights<float>;
template class Weights<double>;
template SharedWeights<float> pack(const Network&, std::span<const Parameters<float>>);
template SharedWeights<double> pack(const Network&, std::span<const Parameters<double>>);
template class WeightsCache<float>;
template class WeightsCache<double>;

}  // namespace gatewise
