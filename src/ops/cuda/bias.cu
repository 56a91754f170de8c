#include "common.cuh"

// c (m, n) += bias (n).
template <typename C, typename B>
__device__ void add_bias(const B* bias, C* c, unsigned m, unsigned n, uint64_t stride) {
    const size_t element = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (element >= size_t(m) * n) return;
    const unsigned column = unsigned(element % n);
    C& to = c[element / n * stride + column];
    to = from_float<C>(to_float(to) + to_float(bias[column]));
}
#define ADD_BIAS(name, C, B)                                                                            \
    extern "C" __global__ void name(const B* bias, C* c, unsigned m, unsigned n, uint64_t stride) {     \
        add_bias<C, B>(bias, c, m, n, stride);                                                          \
    }                                                                                                   \
    REGISTER(name)
ADD_BIAS(add_bias_f32_f32, float, float)
ADD_BIAS(add_bias_f32_bf16, float, bf16)
ADD_BIAS(add_bias_bf16_f32, bf16, float)
ADD_BIAS(add_bias_bf16_bf16, bf16, bf16)
#undef ADD_BIAS
