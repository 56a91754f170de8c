#include "common.cuh"

constexpr unsigned SQUARES_PER_BLOCK = 1 << 14;  // as in adamw.rs

// As adamw.rs reads it. Once a step is not fine, none is.
struct Outcome {
    double loss, norm;
    float scale;
    uint32_t fine;
};

// parts[block] ← the sum of the squares of that block's stretch of the gradient.
extern "C" __global__ void gradient_squares(const float* gradient, uint64_t len, double* parts) {
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
        for (unsigned k = 0; k < AT_ONCE; k++)
            for (unsigned j = 0; j < 4; j++) sum = fma(double(v[k][j]), double(v[k][j]), sum);
    }
    for (; i < count; i += step)
        for (unsigned j = i; j < i + 4 && j < count; j++) sum = fma(double(from[j]), double(from[j]), sum);
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

// The numbers of one step, as in ../adamw.rs.
struct Coefficients {
    float beta1, beta2, rest1, rest2, epsilon, scale, step_size, inverse_root;
};

__device__ __forceinline__ void update(float& w, float g, float& m, float& v, const Coefficients& c, float keep) {
    const float gradient = g * c.scale;
    m = fmaf(c.beta1, m, c.rest1 * gradient);
    v = fmaf(c.beta2, v, c.rest2 * gradient * gradient);
    const float root = fmaf(sqrtf(v), c.inverse_root, c.epsilon);
    w = fmaf(w, keep, -(c.step_size * m / root));
}

// Four elements a thread. `decays` has a byte for every 16; `copy` may be null.
extern "C" __global__ void adamw(float* weights, const float* gradient, float* first, float* second, bf16* copy,
                                 const uint8_t* decays, uint64_t len, const Outcome* outcome, float beta1, float beta2,
                                 float rest1, float rest2, float epsilon, float step_size, float inverse_root, float keep) {
    const uint64_t at = (uint64_t(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
    if (at >= len) return;
    const bool whole = at + 4 <= len;
    // All that is read is asked for before anything waits for it.
    float w[4], g[4], m[4], v[4];
    if (whole) {
        load4(weights + at, w);
        load4(gradient + at, g);
        load4(first + at, m);
        load4(second + at, v);
    }
    const bool decayed = decays[at / 16];
    const bool fine = outcome->fine;
    const Coefficients c{beta1, beta2, rest1, rest2, epsilon, outcome->scale, step_size, inverse_root};
    if (!fine) return;
    const float kept = decayed ? keep : 1.0f;
    if (whole) {
        for (unsigned i = 0; i < 4; i++) update(w[i], g[i], m[i], v[i], c, kept);
        store4(weights + at, w);
        store4(first + at, m);
        store4(second + at, v);
        if (copy) store4(copy + at, w);
    } else {
        for (uint64_t i = at; i < len; i++) {
            update(weights[i], gradient[i], first[i], second[i], c, kept);
            if (copy) copy[i] = from_float<bf16>(weights[i]);
        }
    }
}
REGISTER(adamw)
