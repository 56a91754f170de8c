#include "common.cuh"

// The pooler's rows are as many as sequences, so one element a thread is enough.

// x ← tanh(x), dropped ← x · mask.
template <typename T>
__device__ void tanh_forward(T* x, T* dropped, uint64_t len, const Dropout& mask) {
    const uint64_t i = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= len) return;
    const T y = from_float<T>(tanhf(to_float(x[i])));
    x[i] = y;
    dropped[i] = mask.threshold ? from_float<T>(to_float(y) * multiplier(mask, i)) : y;
}
#define PARAMETERS(T) T *x, T *dropped, uint64_t len, DROPOUT_PARAMETERS
KERNEL(tanh_forward, PARAMETERS, (x, dropped, len, DROPOUT))
#undef PARAMETERS

// d ← d · mask · (1 - y²)
template <typename T>
__device__ void tanh_backward(T* d, const T* y, uint64_t len, const Dropout& mask) {
    const uint64_t i = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= len) return;
    float v = to_float(d[i]);
    if (mask.threshold) v *= multiplier(mask, i);
    const float of = to_float(y[i]);
    d[i] = from_float<T>(v * (1.0f - of * of));
}
#define PARAMETERS(T) T *d, const T *y, uint64_t len, DROPOUT_PARAMETERS
KERNEL(tanh_backward, PARAMETERS, (d, y, len, DROPOUT))
#undef PARAMETERS
