#include "common.cuh"

// The pooler's rows are as many as sequences, so one element a thread is enough.

namespace pooler {

// The functions of ../activation.rs: the value of x, and the derivative by the value y.
struct Tanh {
    static __device__ __forceinline__ float value(float x) { return tanhf(x); }
    static __device__ __forceinline__ float slope(float y) { return 1.0f - y * y; }
};

// A NaN stays one.
struct Relu {
    static __device__ __forceinline__ float value(float x) { return x < 0.0f ? 0.0f : x; }
    static __device__ __forceinline__ float slope(float y) { return y > 0.0f ? 1.0f : 0.0f; }
};

// x ← f(x), dropped ← x · mask.
template <typename F, typename T>
__device__ __forceinline__ void forward(T* x, T* dropped, uint64_t len, const Dropout& mask) {
    const uint64_t i = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= len) return;
    const T y = from_float<T>(F::value(to_float(x[i])));
    x[i] = y;
    dropped[i] = mask.threshold ? from_float<T>(to_float(y) * multiplier(mask, i)) : y;
}

// d ← d · mask · f'
template <typename F, typename T>
__device__ __forceinline__ void backward(T* d, const T* y, uint64_t len, const Dropout& mask) {
    const uint64_t i = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= len) return;
    float v = to_float(d[i]);
    if (mask.threshold) v *= multiplier(mask, i);
    d[i] = from_float<T>(v * F::slope(to_float(y[i])));
}

}  // namespace pooler

#define FORWARD(T) T *x, T *dropped, uint64_t len, DROPOUT_PARAMETERS
#define BACKWARD(T) T *d, const T *y, uint64_t len, DROPOUT_PARAMETERS
#define POOLER(name, function)                                                                             \
    template <typename T>                                                                                  \
    __device__ void name##_forward(T* x, T* dropped, uint64_t len, const Dropout& mask) {                  \
        pooler::forward<pooler::function>(x, dropped, len, mask);                                          \
    }                                                                                                      \
    template <typename T>                                                                                  \
    __device__ void name##_backward(T* d, const T* y, uint64_t len, const Dropout& mask) {                 \
        pooler::backward<pooler::function>(d, y, len, mask);                                               \
    }                                                                                                      \
    KERNEL(name##_forward, FORWARD, (x, dropped, len, DROPOUT))                                            \
    KERNEL(name##_backward, BACKWARD, (d, y, len, DROPOUT))
POOLER(pooler_tanh, Tanh)
POOLER(pooler_relu, Relu)
#undef POOLER
#undef BACKWARD
#undef FORWARD
