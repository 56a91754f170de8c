// Each kernel writes its threads' numbers to `out`, by way of what it is about; with `wrong` it has the bug of its name.
// Two blocks of 64 threads.
#include "common.cuh"

#define BUG(name) extern "C" __global__ void name(float* out, unsigned wrong)
#define NUMBER (blockIdx.x * blockDim.x + threadIdx.x)

// The threads read what others have yet to write.
BUG(bug_no_barrier) {
    SHARED(float, numbers, 64);
    numbers[threadIdx.x] = float(NUMBER);
    if (!wrong) __syncthreads();
    const float next = numbers[(threadIdx.x + 1) % 64];
    out[blockIdx.x * 64 + (threadIdx.x + 1) % 64] = next;
}
REGISTER(bug_no_barrier)

// The threads overwrite what others have yet to read, which happens to do no harm while they run in their order.
BUG(bug_no_second_barrier) {
    SHARED(float, numbers, 65);
    numbers[threadIdx.x + 1] = float(NUMBER + 1);
    if (threadIdx.x == 0) numbers[0] = float(NUMBER);
    __syncthreads();
    const float mine = numbers[threadIdx.x];
    const float next = numbers[threadIdx.x + 1];
    if (!wrong) __syncthreads();
    numbers[threadIdx.x] = 0;
    out[NUMBER] = (mine + next - 1) / 2;
}
REGISTER(bug_no_second_barrier)

// An exchange between lanes says nothing of memory.
BUG(bug_exchange_as_barrier) {
    SHARED(float, numbers, 64);
    numbers[threadIdx.x ^ 1] = float(NUMBER ^ 1);
    if (wrong) warp_sum(1.0f);
    else __syncwarp();
    out[NUMBER] = numbers[threadIdx.x];
}
REGISTER(bug_exchange_as_barrier)

// Two blocks write to one place.
BUG(bug_blocks_in_one_place) {
    out[NUMBER] = float(NUMBER);
    if (threadIdx.x == 0) out[wrong ? 128 : 128 + blockIdx.x] = 0;
}
REGISTER(bug_blocks_in_one_place)

BUG(bug_past_the_end) {
    out[NUMBER] = float(NUMBER);
    if (wrong && NUMBER == 0) out[130] = 0;
}
REGISTER(bug_past_the_end)

BUG(bug_past_shared) {
    SHARED(float, numbers, 64);
    float* const mine = numbers + threadIdx.x + wrong;
    *mine = float(NUMBER);
    out[NUMBER] = *mine;
}
REGISTER(bug_past_shared)

BUG(bug_not_aligned) {
    out[NUMBER] = float(NUMBER);
    __syncthreads();
    float four[4] = {};
    if (threadIdx.x == 0) load4(out + blockIdx.x * 64 + wrong, four);
    if (threadIdx.x == 0) out[NUMBER] = four[0];
}
REGISTER(bug_not_aligned)

// Some threads wait for their block, others for their warp.
BUG(bug_different_places) {
    if (wrong && threadIdx.x % 2 == 0) __syncwarp();
    else __syncthreads();
    out[NUMBER] = float(NUMBER);
}
REGISTER(bug_different_places)

// A lane has ended before its warp exchanges.
BUG(bug_ended_lane) {
    out[NUMBER] = float(NUMBER);
    if (wrong && threadIdx.x == 5) return;
    const float sum = warp_sum(float(NUMBER));
    if (threadIdx.x % WARP == 0) out[NUMBER] = (sum - 31 * 16) / 32;
}
REGISTER(bug_ended_lane)

// Arrays of fixed size may have 48 KiB.
BUG(bug_large_array) {
    if (wrong) {
        SHARED(float, numbers, 12 * 1024 + 1);
        numbers[threadIdx.x] = 0;
    }
    out[NUMBER] = float(NUMBER);
}
REGISTER(bug_large_array)

// With what is asked for at the launch, 227 KiB, they may have no more.
BUG(bug_no_room) {
    if (wrong) {
        SHARED(float, numbers, 64);
        numbers[threadIdx.x] = 0;
    }
    out[NUMBER] = float(NUMBER);
}
REGISTER(bug_no_room)
