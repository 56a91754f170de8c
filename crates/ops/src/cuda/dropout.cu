#include "chunks.cuh"

// Each warp has two groups of 128 elements, and a lane four neighbours of each.
template <typename T>
__device__ void dropout_apply(T* x, size_t len, Dropout mask) {
    const size_t warp = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / WARP;
    const unsigned kept = kept_of_groups(mask, uint32_t(2 * warp), uint32_t(2 * warp + 1));
    UNROLL
    for (unsigned half = 0; half < 2; half++) {
        const size_t first = (2 * warp + half) * CHUNK + 4 * (threadIdx.x % WARP);
        float v[4];
        if (first + 4 <= len) {
            load4(x + first, v);
            UNROLL
            for (unsigned i = 0; i < 4; i++) v[i] *= multiplier_of(kept, 16 * half + i, mask);
            store4(x + first, v);
        } else {
            for (unsigned i = 0; i < 4 && first + i < len; i++)
                x[first + i] = from_float<T>(to_float(x[first + i]) * multiplier_of(kept, 16 * half + i, mask));
        }
    }
}
#define PARAMETERS(T) T *x, size_t len, DROPOUT_PARAMETERS
KERNEL(dropout_apply, PARAMETERS, (x, len, DROPOUT))
#undef PARAMETERS
