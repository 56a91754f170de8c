#include "common.cuh"

// sum (width) = (accumulate ? sum : 0) + parts (count, width) over their rows, in order.
extern "C" __global__ void add_parts(const float* parts, unsigned count, unsigned width, float* sum, unsigned accumulate) {
    const unsigned column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    float total = 0;
    for (unsigned part = 0; part < count; part++) total += parts[size_t(part) * width + column];
    sum[column] = accumulate ? sum[column] + total : total;
}
REGISTER(add_parts)
