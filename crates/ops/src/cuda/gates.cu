#include "common.cuh"

// x (rows, heads · d), each head's columns times its gate; a thread has `side` elements side by side: four where d is a
// multiple of four, else one. `count` is the number of such groups, `per_head` of those in a head's part of a row.
template <typename T>
__device__ void scale_heads(T* x, const float* gates, uint64_t count, unsigned heads, unsigned per_head, unsigned side) {
    const uint64_t i = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    // Divisions of 32 bits are much faster, and nearly always wide enough.
    const unsigned head =
        count >> 32 ? unsigned(i / per_head % heads) : unsigned(i) / per_head % heads;
    const float gate = gates[head];
    if (side == 4) {
        float v[4];
        load4(x + i * 4, v);
        for (float& value : v) value *= gate;
        store4(x + i * 4, v);
    } else {
        x[i] = from_float<T>(to_float(x[i]) * gate);
    }
}
#define PARAMETERS(T) T *x, const float *gates, uint64_t count, unsigned heads, unsigned per_head, unsigned side
KERNEL(scale_heads, PARAMETERS, (x, gates, count, heads, per_head, side))
#undef PARAMETERS

// out (count) ← ⟨x, dx⟩ of each of `count` stretches of d elements, by `lanes` neighbouring threads: a power of two that
// is no more than a warp.
template <typename T>
__device__ void gate_products(const T* x, const T* dx, uint64_t count, unsigned d, unsigned lanes, float* out) {
    const uint64_t thread = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    const uint64_t stretch = thread / lanes;
    const unsigned lane = threadIdx.x % lanes;
    float sum = 0;
    if (stretch < count) {
        const T* const a = x + stretch * d;
        const T* const b = dx + stretch * d;
        if (d % 4 == 0) {
            for (unsigned i = lane * 4; i < d; i += lanes * 4) {
                float v[4], w[4];
                load4(a + i, v);
                load4(b + i, w);
                for (unsigned k = 0; k < 4; k++) sum = fmaf(v[k], w[k], sum);
            }
        } else {
            for (unsigned i = lane; i < d; i += lanes) sum = fmaf(to_float(a[i]), to_float(b[i]), sum);
        }
    }
    // Lanes without a stretch take part in the exchanges.
    for (unsigned other = lanes / 2; other > 0; other /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, other);
    if (stretch < count && lane == 0) out[stretch] = sum;
}
#define PARAMETERS(T) const T *x, const T *dx, uint64_t count, unsigned d, unsigned lanes, float *out
KERNEL(gate_products, PARAMETERS, (x, dx, count, d, lanes, out))
#undef PARAMETERS
