#include "common.cuh"

// c (m, n) += bias (n).
template <typename T>
__device__ void add_bias(const T* bias, T* c, unsigned m, unsigned n, uint64_t stride) {
    const size_t element = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (element >= size_t(m) * n) return;
    const unsigned column = unsigned(element % n);
    T& to = c[element / n * stride + column];
    to = from_float<T>(to_float(to) + to_float(bias[column]));
}
#define PARAMETERS(T) const T *bias, T *c, unsigned m, unsigned n, uint64_t stride
KERNEL(add_bias, PARAMETERS, (bias, c, m, n, stride))
#undef PARAMETERS
