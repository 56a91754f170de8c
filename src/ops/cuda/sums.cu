#include "sums.cuh"

// For each of `gridDim.y` arrays of parts (count, width), one after another: its sum (width) = (accumulate ? sum : 0) + the
// parts; a sum that is null is left out.
extern "C" __global__ void add_parts(const float* parts, unsigned count, unsigned width, float* first, float* second,
                                     float* third, unsigned accumulate) {
    float* const sum = blockIdx.y == 0 ? first : blockIdx.y == 1 ? second : third;
    const unsigned column = blockIdx.x * WARP + threadIdx.x % WARP;
    if (!sum) return;
    const float total = sum_of_parts(parts + size_t(blockIdx.y) * count * width, count, width, column);
    if (threadIdx.x < WARP && column < width) sum[column] = accumulate ? sum[column] + total : total;
}
REGISTER(add_parts)
