#include "common.cuh"

constexpr unsigned SQUARES_PER_BLOCK = 1 << 14;  // as in optimizer.rs

// As optimizer.rs reads it. Once a step is not fine, none is.
struct Outcome {
    double loss, norm;
    float scale;
    uint32_t fine;
};

// Whether four neighbours from `at` on, a multiple of four, are kept: a bit each. Without a mask all are.
__device__ __forceinline__ unsigned kept4(const uint32_t* kept, uint64_t at) {
    return kept ? kept[at / 32] >> (at % 32) & 15u : 15u;
}

// parts[block] ← the sum of the squares of what is kept of that block's stretch of the gradient; `kept` may be null.
extern "C" __global__ void gradient_squares(const float* gradient, const uint32_t* kept, uint64_t len, double* parts) {
    constexpr unsigned AT_ONCE = 4;
    const uint64_t first = uint64_t(blockIdx.x) * SQUARES_PER_BLOCK;
    const unsigned count = unsigned(min(uint64_t(SQUARES_PER_BLOCK), len - first));
    const float* const from = gradient + first;
    const unsigned step = blockDim.x * 4;
    double sum = 0;
    unsigned i = threadIdx.x * 4;
    for (; i + (AT_ONCE - 1) * step + 4 <= count; i += AT_ONCE * step) {
        float v[AT_ONCE][4];
        for (unsigned k = 0; k < AT_ONCE; k++) load4(from + i + k * step, v[k]);
        if (kept)
            for (unsigned k = 0; k < AT_ONCE; k++) {
                const unsigned bits = kept4(kept, first + i + k * step);
                for (unsigned j = 0; j < 4; j++) v[k][j] = bits >> j & 1 ? v[k][j] : 0.0f;
            }
        for (unsigned k = 0; k < AT_ONCE; k++)
            for (unsigned j = 0; j < 4; j++) sum = fma(double(v[k][j]), double(v[k][j]), sum);
    }
    for (; i < count; i += step) {
        const unsigned bits = kept4(kept, first + i);
        for (unsigned j = 0; j < 4 && i + j < count; j++) {
            const double v = bits >> j & 1 ? from[i + j] : 0.0f;
            sum = fma(v, v, sum);
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
REGISTER(gradient_squares)

__device__ __forceinline__ bool is_finite(double v) { return fabs(v) <= 1.7976931348623157e308; }

// One block.
extern "C" __global__ void judge(const double* parts, unsigned count, double clip, Outcome* outcome) {
    double sum = 0;
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x != 0) return;
    const double norm = sqrt(sum);
    outcome->norm = norm;
    outcome->scale = clip > 0.0 ? float(fmin(clip / (norm + 1e-6), 1.0)) : 1.0f;
    outcome->fine = outcome->fine && is_finite(norm) && is_finite(outcome->loss);
}
REGISTER(judge)

// What optimizer.rs passes: slots that an optimizer has not are null, `copy` and `kept` may be, and `decays` has a byte
// for every 16.
#define OPTIMIZER_PARAMETERS                                                                                   \
    float *weights, const float *gradient, float *slot0, float *slot1, bf16 *copy, const uint8_t *decays,      \
        const uint32_t *kept, uint64_t len, const Outcome *outcome, float n0, float n1, float n2, float n3,    \
        float n4, float n5, [[maybe_unused]] float n6, [[maybe_unused]] float n7
#define OPTIMIZER_ARGUMENTS {slot0, slot1}, weights, gradient, copy, decays, kept, len, outcome

// One step of an optimizer with so many slots, four elements a thread: update(weight, gradient, slots, whether it decays)
// of each. What is not kept becomes zero, or where the step FREEZES it stays as it is.
template <bool FREEZES, unsigned SLOTS, typename Update>
__device__ __forceinline__ void optimizer_step(float* const (&slots)[2], float* weights, const float* gradient, bf16* copy,
                                               const uint8_t* decays, const uint32_t* kept, uint64_t len,
                                               const Outcome* outcome, const Update& update) {
    const uint64_t at = (uint64_t(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
    if (at >= len) return;
    const bool whole = at + 4 <= len;
    // All that is read is asked for before anything waits for it.
    float w[4], g[4], state[SLOTS][4];
    if (whole) {
        load4(weights + at, w);
        load4(gradient + at, g);
        for (unsigned k = 0; k < SLOTS; k++) load4(slots[k] + at, state[k]);
    }
    const bool decayed = decays[at / 16];
    const unsigned bits = kept4(kept, at);
    const bool fine = outcome->fine;
    const float scale = outcome->scale;
    if (!fine) return;
    if (whole) {
        for (unsigned i = 0; i < 4; i++) {
            if (FREEZES && !(bits >> i & 1)) continue;
            float of_one[SLOTS];
            for (unsigned k = 0; k < SLOTS; k++) of_one[k] = state[k][i];
            update(w[i], g[i] * scale, of_one, decayed);
            const bool stays = bits >> i & 1;
            w[i] = stays ? w[i] : 0.0f;
            for (unsigned k = 0; k < SLOTS; k++) state[k][i] = stays ? of_one[k] : 0.0f;
        }
        store4(weights + at, w);
        for (unsigned k = 0; k < SLOTS; k++) store4(slots[k] + at, state[k]);
        if (copy) store4(copy + at, w);
    } else {
        for (uint64_t i = at; i < len; i++) {
            if (FREEZES && !(bits >> (i - at) & 1)) continue;
            float of_one[SLOTS];
            for (unsigned k = 0; k < SLOTS; k++) of_one[k] = slots[k][i];
            update(weights[i], gradient[i] * scale, of_one, decayed);
            const bool stays = bits >> (i - at) & 1;
            if (!stays) weights[i] = 0.0f;
            for (unsigned k = 0; k < SLOTS; k++) slots[k][i] = stays ? of_one[k] : 0.0f;
            if (copy) copy[i] = from_float<bf16>(weights[i]);
        }
    }
}

// As ../optimizer/adamw.rs, whose numbers these are.
template <bool FREEZES>
__device__ __forceinline__ void adamw_step(OPTIMIZER_PARAMETERS) {
    const float beta1 = n0, beta2 = n1, rest1 = n2, rest2 = n3, epsilon = n4, step_size = n5, inverse_root = n6, keep = n7;
    optimizer_step<FREEZES, 2>(OPTIMIZER_ARGUMENTS, [=](float& w, float g, float (&moments)[2], bool decayed) {
        float &m = moments[0], &v = moments[1];
        m = fmaf(beta1, m, rest1 * g);
        v = fmaf(beta2, v, rest2 * g * g);
        const float root = fmaf(sqrtf(v), inverse_root, epsilon);
        w = fmaf(w, decayed ? keep : 1.0f, -(step_size * m / root));
    });
}

// As ../optimizer/adamax.rs, whose numbers these are.
template <bool FREEZES>
__device__ __forceinline__ void adamax_step(OPTIMIZER_PARAMETERS) {
    const float beta1 = n0, beta2 = n1, rest1 = n2, epsilon = n3, rate = n4, keep = n5;
    optimizer_step<FREEZES, 2>(OPTIMIZER_ARGUMENTS, [=](float& w, float g, float (&state)[2], bool decayed) {
        float &m = state[0], &u = state[1];
        m = fmaf(beta1, m, rest1 * g);
        u = fmaxf(beta2 * u, fabsf(g) + epsilon);
        w = fmaf(w, decayed ? keep : 1.0f, -(rate * m / (u + epsilon)));
    });
}

// Six blocks of a multiprocessor: with fewer, memory waits.
#define OPTIMIZER_KERNEL(NAME, STEP)                                                                                \
    extern "C" __global__ void __launch_bounds__(256, 6) NAME(OPTIMIZER_PARAMETERS) {                               \
        STEP(weights, gradient, slot0, slot1, copy, decays, kept, len, outcome, n0, n1, n2, n3, n4, n5, n6, n7);    \
    }                                                                                                               \
    REGISTER(NAME)
OPTIMIZER_KERNEL(adamw, adamw_step<false>)
OPTIMIZER_KERNEL(adamw_frozen, adamw_step<true>)
OPTIMIZER_KERNEL(adamax, adamax_step<false>)
OPTIMIZER_KERNEL(adamax_frozen, adamax_step<true>)
