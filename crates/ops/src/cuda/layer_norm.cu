#include "chunks.cuh"

namespace layer_norm {

// The most chunks of a row that is kept in registers.
constexpr unsigned MOST_CHUNKS = 8;

// What the block's end is made of, of one row.
template <typename T>
struct Sublayer {
    const float* bias;
    Dropout mask;
    float gate;
    const T* residual;
};
struct Norm {
    const float *gamma, *beta;
    float epsilon;
};

// z ⊙ the mask of row `row` of the matrix, in which rows are whole groups.
template <unsigned CHUNKS>
__device__ __forceinline__ void drop_row(float (&z)[CHUNKS][4], const Dropout& mask, unsigned row, unsigned h) {
    const uint32_t group = uint32_t(size_t(row) * (h / CHUNK));
    UNROLL
    for (unsigned c = 0; c < CHUNKS; c += 2) {
        if (c * CHUNK >= h) continue;
        const unsigned kept = kept_of_groups(mask, group + c, group + c + 1);
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            z[c][i] *= multiplier_of(kept, i, mask);
            z[c + 1][i] *= multiplier_of(kept, 16 + i, mask);
        }
    }
}

// A row of up to CHUNKS chunks, an even number, in whole vectors, with dropout of whole groups: read once and kept in the
// registers of its warp. `x`, `y`, `output` and the residual are the row's own. Returns 1 / σ. What chunks beyond the
// width add to its sums is zero, so their bits do not depend on CHUNKS.
template <unsigned CHUNKS, typename T>
__device__ __forceinline__ float norm_vectors(T* x, const Sublayer<T>& sublayer, const Norm& norm, T* y, T* output,
                                              unsigned row, unsigned h) {
    // All of the row is asked for before anything waits for it.
    Four<T> of_x[CHUNKS], of_residual[CHUNKS];
    UNROLL
    for (unsigned c = 0; c < CHUNKS; c++) of_x[c] = load_chunk<true>(x, c * CHUNK, h);
    if (sublayer.residual) {
        UNROLL
        for (unsigned c = 0; c < CHUNKS; c++) of_residual[c] = load_chunk<true>(sublayer.residual, c * CHUNK, h);
    }
    float z[CHUNKS][4], out[CHUNKS][4];
    UNROLL
    for (unsigned c = 0; c < CHUNKS; c++) {
        Four<float> bias = {};
        if (sublayer.bias) bias = load_chunk<true>(sublayer.bias, c * CHUNK, h);
        UNROLL
        for (unsigned i = 0; i < 4; i++) z[c][i] = to_float(of_x[c].values[i]) + bias.values[i];
    }
    if (sublayer.mask.threshold) drop_row(z, sublayer.mask, row, h);
    if (output) {
        UNROLL
        for (unsigned c = 0; c < CHUNKS; c++) store_chunk<true>(output, c * CHUNK, h, z[c]);
    }
    // Beyond the width z is zero.
    float sum = 0, squares = 0;
    UNROLL
    for (unsigned c = 0; c < CHUNKS; c++) {
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            z[c][i] = sublayer.residual ? fmaf(z[c][i], sublayer.gate, to_float(of_residual[c].values[i]))
                                        : z[c][i] * sublayer.gate;
            sum += z[c][i];
        }
    }
    const float mean = warp_sum(sum) / float(h);
    UNROLL
    for (unsigned c = 0; c < CHUNKS; c++) {
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            z[c][i] -= mean;
            if (c * CHUNK + column_in_chunk<true>(i) < h) squares = fmaf(z[c][i], z[c][i], squares);
        }
    }
    const float inverse = 1.0f / sqrtf(warp_sum(squares) / float(h) + norm.epsilon);
    UNROLL
    for (unsigned c = 0; c < CHUNKS; c++) {
        const Four<float> gamma = load_chunk<true>(norm.gamma, c * CHUNK, h);
        const Four<float> beta = load_chunk<true>(norm.beta, c * CHUNK, h);
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            z[c][i] *= inverse;
            out[c][i] = fmaf(z[c][i], gamma.values[i], beta.values[i]);
        }
    }
    UNROLL
    for (unsigned c = 0; c < CHUNKS; c++) {
        store_chunk<true>(x, c * CHUNK, h, z[c]);
        store_chunk<true>(y, c * CHUNK, h, out[c]);
    }
    return inverse;
}

// As above for any row: z is computed anew in each of three passes.
template <typename T>
__device__ __forceinline__ float norm_any_row(T* x, const Sublayer<T>& sublayer, const Norm& norm, T* y, T* output,
                                              unsigned row, unsigned h) {
    const auto ungated = [&](unsigned column) {
        const float v = to_float(x[column]) + (sublayer.bias ? sublayer.bias[column] : 0.0f);
        return sublayer.mask.threshold ? v * multiplier(sublayer.mask, size_t(row) * h + column) : v;
    };
    const auto gated = [&](float v, unsigned column) {
        return sublayer.residual ? fmaf(v, sublayer.gate, to_float(sublayer.residual[column])) : v * sublayer.gate;
    };
    const unsigned lane = threadIdx.x % WARP;
    float sum = 0, squares = 0;
    for (unsigned column = lane; column < h; column += WARP) sum += gated(ungated(column), column);
    const float mean = warp_sum(sum) / float(h);
    for (unsigned column = lane; column < h; column += WARP) {
        const float v = gated(ungated(column), column) - mean;
        squares = fmaf(v, v, squares);
    }
    const float inverse = 1.0f / sqrtf(warp_sum(squares) / float(h) + norm.epsilon);
    for (unsigned column = lane; column < h; column += WARP) {
        const float v = ungated(column);
        if (output) output[column] = from_float<T>(v);
        const float x_hat = (gated(v, column) - mean) * inverse;
        x[column] = from_float<T>(x_hat);
        y[column] = from_float<T>(fmaf(x_hat, norm.gamma[column], norm.beta[column]));
    }
    return inverse;
}

}  // namespace layer_norm

// A warp for each row.
template <typename T>
__device__ void layer_norm_forward(T* x, layer_norm::Sublayer<T> sublayer, layer_norm::Norm norm, T* y, float* inverses, T* output, unsigned n,
                                   unsigned h, unsigned vectors) {
    const unsigned row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= n) return;
    const size_t first = size_t(row) * h;
    if (sublayer.residual) sublayer.residual += first;
    if (output) output += first;
    x += first;
    y += first;
    const bool in_registers =
        vectors && h <= layer_norm::MOST_CHUNKS * CHUNK && (!sublayer.mask.threshold || h % CHUNK == 0);
    float inverse;
    if (!in_registers) inverse = layer_norm::norm_any_row(x, sublayer, norm, y, output, row, h);
    else if (h <= 4 * CHUNK) inverse = layer_norm::norm_vectors<4>(x, sublayer, norm, y, output, row, h);
    else if (h <= 6 * CHUNK) inverse = layer_norm::norm_vectors<6>(x, sublayer, norm, y, output, row, h);
    else inverse = layer_norm::norm_vectors<layer_norm::MOST_CHUNKS>(x, sublayer, norm, y, output, row, h);
    if (threadIdx.x % WARP == 0) inverses[row] = inverse;
}
#define PARAMETERS(T)                                                                                               \
    T *x, const float *bias, DROPOUT_PARAMETERS, float gate, const T *residual, const float *gamma, const float *beta, \
        float epsilon, T *y, float *inverses, T *output, unsigned n, unsigned h, unsigned vectors
KERNEL_WITHIN((128, 4), layer_norm_forward, PARAMETERS,
       (x, {bias, DROPOUT, gate, residual}, {gamma, beta, epsilon}, y, inverses, output, n, h, vectors))
#undef PARAMETERS
