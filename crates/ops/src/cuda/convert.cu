#include "common.cuh"

// Four numbers a thread.
extern "C" __global__ void to_bf16(const float* from, bf16* to, uint64_t len) {
    const uint64_t first = (uint64_t(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
    if (first + 4 <= len) {
        float v[4];
        load4(from + first, v);
        store4(to + first, v);
    } else {
        for (uint64_t i = first; i < len; i++) to[i] = from_float<bf16>(from[i]);
    }
}
REGISTER(to_bf16)
