#include "common.cuh"

// Block (x, y): columns of the rows of part y, each thread with four side by side where rows are whole vectors (`vectors`),
// though their width need not be, or with one. The rows are `stride` elements apart. Their sums go to sums (parts, width).
template <typename T>
__device__ void column_sums(const T* x, unsigned rows, unsigned width, uint64_t stride, float* sums, unsigned vectors) {
    constexpr unsigned AT_ONCE = 8;  // rows asked for before the first is waited for
    const unsigned each = vectors ? 4 : 1;
    const unsigned column = (blockIdx.x * blockDim.x + threadIdx.x) * each;
    if (column >= width) return;
    const unsigned first = blockIdx.y * ROWS_PER_PART;
    const unsigned last = min(first + ROWS_PER_PART, rows);
    float* const to = sums + size_t(blockIdx.y) * width + column;
    const T* const from = x + column;
    if (!vectors || width - column < 4) {
        for (unsigned i = 0; i < min(each, width - column); i++) {
            float sum = 0;
            UNROLL_BY(8)
            for (unsigned row = first; row < last; row++) sum += to_float(from[row * stride + i]);
            to[i] = sum;
        }
        return;
    }
    float sum[4] = {0, 0, 0, 0};
    unsigned row = first;
    for (; row + AT_ONCE <= last; row += AT_ONCE) {
        float v[AT_ONCE][4];
        for (unsigned k = 0; k < AT_ONCE; k++) load4(from + (row + k) * stride, v[k]);
        for (unsigned k = 0; k < AT_ONCE; k++)
            for (unsigned i = 0; i < 4; i++) sum[i] += v[k][i];
    }
    for (; row < last; row++) {
        float v[4];
        load4(from + row * stride, v);
        for (unsigned i = 0; i < 4; i++) sum[i] += v[i];
    }
    if (width % 4 == 0) store4(to, sum);
    else
        for (unsigned i = 0; i < 4; i++) to[i] = sum[i];
}
#define PARAMETERS(T) const T *x, unsigned rows, unsigned width, uint64_t stride, float *sums, unsigned vectors
KERNEL(column_sums, PARAMETERS, (x, rows, width, stride, sums, vectors))
#undef PARAMETERS

// Every row of y becomes the bias: what a product without an inner dimension leaves. The rows are `stride` elements apart.
template <typename T>
__device__ void bias_rows(const T* bias, unsigned rows, unsigned width, uint64_t stride, T* y) {
    const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < size_t(rows) * width) y[i / width * stride + i % width] = bias[i % width];
}
#define PARAMETERS(T) const T *bias, unsigned rows, unsigned width, uint64_t stride, T *y
KERNEL(bias_rows, PARAMETERS, (bias, rows, width, stride, y))
#undef PARAMETERS
