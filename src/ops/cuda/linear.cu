#include "common.cuh"

// Block (x, y): columns of the rows of part y, each thread with four side by side, or one where the width is no multiple
// of four. Their sums go to sums (parts, width).
template <typename T>
__device__ void column_sums(const T* x, unsigned rows, unsigned width, float* sums) {
    constexpr unsigned AT_ONCE = 8;  // rows asked for before the first is waited for
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned first = blockIdx.y * ROWS_PER_PART;
    const unsigned last = min(first + ROWS_PER_PART, rows);
    float* const to = sums + size_t(blockIdx.y) * width;
    if (width % 4 != 0) {
        if (thread >= width) return;
        float sum = 0;
        for (unsigned row = first; row < last; row++) sum += to_float(x[size_t(row) * width + thread]);
        to[thread] = sum;
        return;
    }
    if (thread >= width / 4) return;
    const T* const from = x + thread * 4;
    float sum[4] = {0, 0, 0, 0};
    unsigned row = first;
    for (; row + AT_ONCE <= last; row += AT_ONCE) {
        float v[AT_ONCE][4];
        for (unsigned k = 0; k < AT_ONCE; k++) load4(from + size_t(row + k) * width, v[k]);
        for (unsigned k = 0; k < AT_ONCE; k++)
            for (unsigned i = 0; i < 4; i++) sum[i] += v[k][i];
    }
    for (; row < last; row++) {
        float v[4];
        load4(from + size_t(row) * width, v);
        for (unsigned i = 0; i < 4; i++) sum[i] += v[i];
    }
    store4(to + thread * 4, sum);
}
#define PARAMETERS(T) const T *x, unsigned rows, unsigned width, float *sums
KERNEL(column_sums, PARAMETERS, (x, rows, width, sums))
#undef PARAMETERS

// Every row of y becomes the bias: what a product without an inner dimension leaves.
template <typename T>
__device__ void bias_rows(const T* bias, unsigned rows, unsigned width, T* y) {
    const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < size_t(rows) * width) y[i] = bias[i % width];
}
#define PARAMETERS(T) const T *bias, unsigned rows, unsigned width, T *y
KERNEL(bias_rows, PARAMETERS, (bias, rows, width, y))
#undef PARAMETERS
