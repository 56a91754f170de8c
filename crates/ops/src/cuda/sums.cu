#include "sums.cuh"

// As sums.rs writes it: sum (width) = (accumulate ? sum : 0) + the parts (count, width), for which the blocks from `first`
// on are.
struct SumJob {
    const float* parts;
    float* sum;
    uint32_t count, width, first, accumulate;
};

// All sums of a step: a block for each 32 columns of each job.
extern "C" __global__ void add_parts(const SumJob* jobs, unsigned count) {
    const unsigned lane = threadIdx.x % WARP;
    // Its job is the last one that begins here or before. A job without columns begins where the next one does.
    unsigned begun = 0;
    for (unsigned i = lane; i < count; i += WARP) begun += jobs[i].first <= blockIdx.x;
    const SumJob job = jobs[warp_sum(begun) - 1];
    const unsigned column = (blockIdx.x - job.first) * WARP + lane;
    const float total = sum_of_parts(job.parts, job.count, job.width, column);
    if (threadIdx.x < WARP && column < job.width) job.sum[column] = job.accumulate ? job.sum[column] + total : total;
}
REGISTER(add_parts)
