#include "common.cuh"

// Φ(h) and φ(h): the normal distribution's cumulative and density, as in ../gelu.rs.
__device__ __forceinline__ void normal(float h, float& cumulative, float& density) {
    cumulative = 0.5f * (1.0f + erff(h * 0.70710678f));
    density = 0.3989423f * expf(-0.5f * h * h);
}

// Each thread has four elements side by side, so a width that is a multiple of four lets it read the bias at once.
template <typename T>
__device__ void gelu_forward(T* h, const float* bias, T* a, unsigned rows, unsigned width) {
    const size_t all = size_t(rows) * width;
    const size_t first = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
    const bool whole = width % 4 == 0 && first + 4 <= all;
    float v[4], out[4];
    const unsigned n = all <= first ? 0 : (all - first < 4 ? unsigned(all - first) : 4);
    if (n == 0) return;
    if (whole) load4(h + first, v);
    else for (unsigned i = 0; i < n; i++) v[i] = to_float(h[first + i]);
    for (unsigned i = 0; i < n; i++) {
        v[i] += bias[(first + i) % width];
        // What the backward pass will read.
        v[i] = to_float(from_float<T>(v[i]));
        float cumulative, density;
        normal(v[i], cumulative, density);
        out[i] = v[i] * cumulative;
    }
    if (whole) {
        store4(h + first, v);
        store4(a + first, out);
    } else {
        for (unsigned i = 0; i < n; i++) {
            h[first + i] = from_float<T>(v[i]);
            a[first + i] = from_float<T>(out[i]);
        }
    }
}
#define PARAMETERS(T) T *h, const float *bias, T *a, unsigned rows, unsigned width
KERNEL(gelu_forward, PARAMETERS, (h, bias, a, rows, width))
#undef PARAMETERS

// Block (x, y): 256 columns of the rows of part y. Sums of what is stored go to sums (parts, width) unless it is null.
template <typename T>
__device__ void gelu_backward(const T* h, T* d, unsigned rows, unsigned width, float* sums) {
    const unsigned column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    const unsigned first = blockIdx.y * ROWS_PER_PART;
    const unsigned last = min(first + ROWS_PER_PART, rows);
    float sum = 0;
    for (unsigned row = first; row < last; row++) {
        const size_t at = size_t(row) * width + column;
        const float x = to_float(h[at]);
        float cumulative, density;
        normal(x, cumulative, density);
        const T value = from_float<T>(to_float(d[at]) * (cumulative + x * density));
        d[at] = value;
        sum += to_float(value);
    }
    if (sums) sums[size_t(blockIdx.y) * width + column] = sum;
}
#define PARAMETERS(T) const T *h, T *d, unsigned rows, unsigned width, float *sums
KERNEL(gelu_backward, PARAMETERS, (h, d, rows, width, sums))
#undef PARAMETERS
