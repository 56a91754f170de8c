// Sums of parts in blocks that have 32 columns each: warp i adds up the i-th of sixteen runs of parts, so that they are
// under way together, and then the runs are added up in their order.
#pragma once
#include "common.cuh"

constexpr unsigned RUNS = 16;  // as in sums.rs

// The sum of parts (count, width) in the column of this lane, to be used by the first warp; all threads take part.
__device__ __forceinline__ float sum_of_parts(const float* parts, unsigned count, unsigned width, unsigned column) {
    SHARED(float, of_runs, RUNS * WARP);
    const unsigned run = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const unsigned per_run = (count + RUNS - 1) / RUNS;
    const unsigned last = min((run + 1) * per_run, count);
    float total = 0;
    if (column < width) {
        UNROLL_BY(8)
        for (unsigned part = run * per_run; part < last; part++) total += parts[size_t(part) * width + column];
    }
    of_runs[run * WARP + lane] = total;
    __syncthreads();
    total = 0;
    if (run == 0) {
        UNROLL
        for (unsigned other = 0; other < RUNS; other++) total += of_runs[other * WARP + lane];
    }
    return total;
}
