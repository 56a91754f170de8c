#include "chunks.cuh"

namespace activation {

// Rows that a thread asks for before it waits for the first.
constexpr unsigned AT_ONCE = 4;  // as in activation.rs

// Φ(h) and φ(h): the normal distribution's cumulative and density, by the formulas of ../activation.rs, which need fewer
// instructions than erff and expf.
__device__ __forceinline__ void normal(float h, float& cumulative, float& density) {
    const float e = power_of_two(h * h * -0.72134752f);
    const float t = reciprocal(fmaf(fabsf(h), 0.70710678f * 0.3275911f, 1.0f));
    // Half of those formulas' coefficients, which are rounded to the same bits.
    float p = fmaf(t, 0.5f * 1.0614054f, 0.5f * -1.453152f);
    p = fmaf(t, p, 0.5f * 1.4214138f);
    p = fmaf(t, p, 0.5f * -0.28449672f);
    p = fmaf(t, p, 0.5f * 0.2548296f);
    const float tail = p * t * e;
    cumulative = h >= 0.0f ? 1.0f - tail : tail;
    density = e * 0.3989423f;
}

// The functions of ../activation.rs: f(h), and f'(h).
struct Gelu {
    static __device__ __forceinline__ float value(float h) {
        float cumulative, density;
        normal(h, cumulative, density);
        return h * cumulative;
    }
    static __device__ __forceinline__ float slope(float h) {
        float cumulative, density;
        normal(h, cumulative, density);
        return fmaf(h, density, cumulative);
    }
};

// (1 + tanh(u)) / 2, u = √(2/π) (h + 0.044715 h³), and its derivative by 2u.
__device__ __forceinline__ void logistic(float h, float& value, float& slope) {
    const float twice_u = h * fmaf(h * h, 0.07135482f, 1.5957691f);
    const float e = power_of_two(fabsf(twice_u) * -1.442695f);
    const float r = reciprocal(1.0f + e);
    const float rest = e * r;
    value = twice_u >= 0.0f ? r : rest;
    slope = rest * r;
}

struct GeluTanh {
    static __device__ __forceinline__ float value(float h) {
        float value, slope;
        logistic(h, value, slope);
        return h * value;
    }
    static __device__ __forceinline__ float slope(float h) {
        float value, slope;
        logistic(h, value, slope);
        // Beyond these bounds the slope is zero, and h² is not to overflow.
        const float near = fminf(fmaxf(h, -1e3f), 1e3f);
        return fmaf(near * fmaf(near * near, 0.21406445f, 1.5957691f), slope, value);
    }
};

// A NaN stays one.
struct Relu {
    static __device__ __forceinline__ float value(float h) { return h < 0.0f ? 0.0f : h; }
    static __device__ __forceinline__ float slope(float h) { return h > 0.0f ? 1.0f : 0.0f; }
};

// Of the rows from `row` on, those before `last`, this lane's columns of the chunk that begins at column `first`.
template <bool VECTORS, typename T>
__device__ __forceinline__ void load_rows(Four<T> (&to)[AT_ONCE], const T* from, unsigned row, unsigned last,
                                          unsigned first, unsigned width) {
    UNROLL
    for (unsigned k = 0; k < AT_ONCE; k++)
        to[k] = load_chunk<VECTORS>(from + size_t(row + k) * width, first, row + k < last ? width : 0);
}

template <typename F, bool VECTORS, typename T>
__device__ __forceinline__ void forward_chunk(T* h, const float* bias, T* a, unsigned rows, unsigned width,
                                              unsigned first) {
    const Four<float> added = load_chunk<VECTORS>(bias, first, width);
    for (unsigned row = blockIdx.y * AT_ONCE; row < rows; row += gridDim.y * AT_ONCE) {
        Four<T> in[AT_ONCE];
        load_rows<VECTORS>(in, h, row, rows, first, width);
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) {
            if (row + k >= rows) continue;
            const size_t at = size_t(row + k) * width;
            float v[4], out[4];
            UNROLL
            for (unsigned i = 0; i < 4; i++) v[i] = to_float(in[k].values[i]) + added.values[i];
            // What the backward pass will read.
            Four<T> stored;
            round_four(v, stored);
            UNROLL
            for (unsigned i = 0; i < 4; i++) out[i] = F::value(v[i]);
            store_chunk<VECTORS>(h + at, first, width, stored);
            store_chunk<VECTORS>(a + at, first, width, out);
        }
    }
}

template <typename F, bool VECTORS, typename T>
__device__ __forceinline__ void backward_chunk(const T* h, T* d, unsigned rows, unsigned width, float* sums,
                                               unsigned first) {
    const unsigned begin = blockIdx.y * ROWS_PER_PART;
    const unsigned last = min(begin + ROWS_PER_PART, rows);
    Four<T> x[AT_ONCE], of[AT_ONCE];
    load_rows<VECTORS>(x, h, begin, last, first, width);
    load_rows<VECTORS>(of, d, begin, last, first, width);
    float sum[4] = {0, 0, 0, 0};
    for (unsigned row = begin; row < last; row += AT_ONCE) {
        // The next ones are under way while these are computed.
        Four<T> next_x[AT_ONCE], next_of[AT_ONCE];
        load_rows<VECTORS>(next_x, h, row + AT_ONCE, last, first, width);
        load_rows<VECTORS>(next_of, d, row + AT_ONCE, last, first, width);
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) {
            if (row + k >= last) continue;
            float value[4];
            UNROLL
            for (unsigned i = 0; i < 4; i++)
                value[i] = to_float(of[k].values[i]) * F::slope(to_float(x[k].values[i]));
            Four<T> stored;
            round_four(value, stored);
            store_chunk<VECTORS>(d + size_t(row + k) * width, first, width, stored);
            UNROLL
            for (unsigned i = 0; i < 4; i++) sum[i] += value[i];
        }
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) {
            x[k] = next_x[k];
            of[k] = next_of[k];
        }
    }
    if (sums) store_chunk<VECTORS>(sums + size_t(blockIdx.y) * width, first, width, sum);
}

// The first column of this warp's chunk.
__device__ __forceinline__ unsigned first_column() { return (blockIdx.x * blockDim.x + threadIdx.x) / WARP * CHUNK; }

}  // namespace activation

// Block (x, y): a chunk of columns for each warp, and every so many rows from the y-th four on.
template <typename F, typename T>
__device__ __forceinline__ void activation_forward(T* h, const float* bias, T* a, unsigned rows, unsigned width,
                                                   unsigned vectors) {
    const unsigned first = activation::first_column();
    if (first >= width) return;
    if (vectors) activation::forward_chunk<F, true>(h, bias, a, rows, width, first);
    else activation::forward_chunk<F, false>(h, bias, a, rows, width, first);
}

// Block (x, y): a chunk of columns for each warp, of the rows of part y. Sums of what is stored go to sums (parts, width)
// unless it is null.
template <typename F, typename T>
__device__ __forceinline__ void activation_backward(const T* h, T* d, unsigned rows, unsigned width, float* sums,
                                                    unsigned vectors) {
    const unsigned first = activation::first_column();
    if (first >= width) return;
    if (vectors) activation::backward_chunk<F, true>(h, d, rows, width, sums, first);
    else activation::backward_chunk<F, false>(h, d, rows, width, sums, first);
}

#define FORWARD(T) T *h, const float *bias, T *a, unsigned rows, unsigned width, unsigned vectors
#define BACKWARD(T) const T *h, T *d, unsigned rows, unsigned width, float *sums, unsigned vectors
#define ACTIVATION(name, function)                                                                   \
    template <typename T>                                                                            \
    __device__ void name##_forward(FORWARD(T)) {                                                     \
        activation_forward<activation::function>(h, bias, a, rows, width, vectors);                  \
    }                                                                                                \
    template <typename T>                                                                            \
    __device__ void name##_backward(BACKWARD(T)) {                                                   \
        activation_backward<activation::function>(h, d, rows, width, sums, vectors);                 \
    }                                                                                                \
    KERNEL_WITHIN((128, 8), name##_forward, FORWARD, (h, bias, a, rows, width, vectors))             \
    KERNEL(name##_backward, BACKWARD, (h, d, rows, width, sums, vectors))
ACTIVATION(gelu, Gelu)
ACTIVATION(gelu_tanh, GeluTanh)
ACTIVATION(relu, Relu)
#undef ACTIVATION
#undef BACKWARD
#undef FORWARD
