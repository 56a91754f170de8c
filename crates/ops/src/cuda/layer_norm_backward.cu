#include "chunks.cuh"

namespace layer_norm {

// Two for each chunk of BERT-base's six, and so few that two blocks share a multiprocessor: one computes while the other
// waits.
constexpr unsigned BACKWARD_WARPS = 12;  // as in layer_norm.rs
// Rows whose masks a warp finds at once.
constexpr unsigned PAIR = 2;

// A part of the matrix, and what its rows are to be multiplied with.
template <typename T>
struct Part {
    // The part's first row, and where the rows' elements begin.
    unsigned first, rows, h;
    T *dy, *dx;
    const T* x_hat;
    const float* gamma;
    Dropout mask;
    float gate;
};

// What every column of a row needs: 1 / σ, and the means over its columns of dy γ and of dy γ x̂.
struct Statistics {
    float inverse, mean, slope;
};
template <bool VECTORS, typename T>
__device__ __forceinline__ Statistics statistics_of_row(const Part<T>& part, unsigned row, float inverse) {
    // Half of BERT-base's six chunks.
    constexpr unsigned AT_ONCE = 3;
    const size_t at = size_t(row) * part.h;
    float of_d = 0, of_product = 0;
    for (unsigned strip = 0; strip < part.h; strip += AT_ONCE * CHUNK) {
        Four<T> dy[AT_ONCE], x_hat[AT_ONCE];
        Four<float> gamma[AT_ONCE];
        UNROLL
        for (unsigned c = 0; c < AT_ONCE; c++) {
            dy[c] = load_chunk<VECTORS>(part.dy + at, strip + c * CHUNK, part.h);
            x_hat[c] = load_chunk<VECTORS>(part.x_hat + at, strip + c * CHUNK, part.h);
            gamma[c] = load_chunk<VECTORS>(part.gamma, strip + c * CHUNK, part.h);
        }
        UNROLL
        for (unsigned c = 0; c < AT_ONCE; c++) {
            UNROLL
            for (unsigned i = 0; i < 4; i++) {
                const float d = to_float(dy[c].values[i]) * gamma[c].values[i];
                of_d += d;
                of_product = fmaf(d, to_float(x_hat[c].values[i]), of_product);
            }
        }
    }
    const float mean = warp_sum(of_d) / float(part.h), slope = warp_sum(of_product) / float(part.h);
    return {inverse, mean, slope};
}

// The sums over rows of one chunk's columns.
struct Sums {
    float gamma[4], beta[4], bias[4];
};

// dz and dx of one chunk of rows `row` and `row + 1`, of which the part may have only the first.
template <bool VECTORS, typename T>
__device__ __forceinline__ void finish_pair(const Part<T>& part, unsigned row, unsigned chunk, const Four<float>& gamma,
                                            const Statistics* of_rows, Sums& sums) {
    const unsigned h = part.h, first = chunk * CHUNK;
    Four<T> dy[PAIR], x_hat[PAIR];
    UNROLL
    for (unsigned j = 0; j < PAIR; j++) {
        // Of a row that is not there there are no columns.
        const unsigned width = row + j < part.rows ? h : 0;
        dy[j] = load_chunk<VECTORS>(part.dy + size_t(row + j) * h, first, width);
        x_hat[j] = load_chunk<VECTORS>(part.x_hat + size_t(row + j) * h, first, width);
    }
    // Whether the mask's groups are rows' chunks.
    const bool groups = VECTORS && part.mask.threshold && h % CHUNK == 0;
    unsigned kept = 0;
    if (groups) {
        const uint32_t group = uint32_t(size_t(part.first + row) * (h / CHUNK) + chunk);
        kept = kept_of_groups(part.mask, group, group + h / CHUNK);
    }
    UNROLL
    for (unsigned j = 0; j < PAIR; j++) {
        if (row + j >= part.rows) continue;
        const Statistics of_row = of_rows[row + j];
        float factors[4], dz[4], dx[4];
        UNROLL
        for (unsigned i = 0; i < 4; i++)
            factors[i] = !groups ? part.gate : part.gate * multiplier_of(kept, 16 * j + i, part.mask);
        if (!groups && part.mask.threshold) {
            UNROLL
            for (unsigned i = 0; i < 4; i++) {
                const size_t column = first + column_in_chunk<VECTORS>(i);
                factors[i] *= multiplier(part.mask, size_t(part.first + row + j) * h + column);
            }
        }
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            const float d = to_float(dy[j].values[i]), x = to_float(x_hat[j].values[i]);
            dz[i] = of_row.inverse * (d * gamma.values[i] - of_row.mean - x * of_row.slope);
            dx[i] = dz[i] * factors[i];
            sums.gamma[i] = fmaf(d, x, sums.gamma[i]);
            sums.beta[i] += d;
            sums.bias[i] += dx[i];
        }
        store_chunk<VECTORS>(part.dy + size_t(row + j) * h, first, h, dz);
        if (part.dx) store_chunk<VECTORS>(part.dx + size_t(row + j) * h, first, h, dx);
    }
}

// First each warp has whole rows, then chunks of columns: of a run of rows where there are more warps than chunks. What
// is read twice is near the second time. `sums` is (3, parts, H): of dy x̂, dy and dx, or null.
template <bool VECTORS, typename T>
__device__ __forceinline__ void backward_part(const Part<T>& part, const float* inverses, float* sums,
                                              Statistics* of_rows, float* of_runs) {
    const unsigned warp = threadIdx.x / WARP, h = part.h;
    for (unsigned row = warp; row < part.rows; row += BACKWARD_WARPS) {
        const Statistics of_row = statistics_of_row<VECTORS>(part, row, inverses[row]);
        if (threadIdx.x % WARP == 0) of_rows[row] = of_row;
    }
    __syncthreads();

    const unsigned chunks = (h + CHUNK - 1) / CHUNK;
    const unsigned runs = chunks < BACKWARD_WARPS ? min(BACKWARD_WARPS / chunks, ROWS_PER_PART / PAIR) : 1;
    const unsigned run = runs > 1 ? warp / chunks : 0;
    const unsigned rows_of_run = (ROWS_PER_PART / PAIR + runs - 1) / runs * PAIR;
    const size_t of_one = size_t(gridDim.x) * h;
    for (unsigned chunk = runs > 1 ? warp % chunks : warp; chunk < chunks && run < runs; chunk += BACKWARD_WARPS) {
        const Four<float> gamma = load_chunk<VECTORS>(part.gamma, chunk * CHUNK, h);
        Sums own = {};
        for (unsigned row = run * rows_of_run; row < min((run + 1) * rows_of_run, part.rows); row += PAIR)
            finish_pair<VECTORS>(part, row, chunk, gamma, of_rows, own);
        if (!sums) continue;
        if (runs > 1) {
            UNROLL
            for (unsigned i = 0; i < 4; i++) {
                const unsigned at = (run * chunks + chunk) * CHUNK + column_in_chunk<VECTORS>(i);
                of_runs[at] = own.gamma[i];
                of_runs[BACKWARD_WARPS * CHUNK + at] = own.beta[i];
                of_runs[2 * BACKWARD_WARPS * CHUNK + at] = own.bias[i];
            }
        } else {
            float* const to = sums + size_t(blockIdx.x) * h;
            store_chunk<VECTORS>(to, chunk * CHUNK, h, own.gamma);
            store_chunk<VECTORS>(to + of_one, chunk * CHUNK, h, own.beta);
            store_chunk<VECTORS>(to + 2 * of_one, chunk * CHUNK, h, own.bias);
        }
    }
    if (!sums || runs == 1) return;
    __syncthreads();
    for (unsigned i = threadIdx.x; i < 3 * h; i += blockDim.x) {
        const unsigned which = i / h, column = i % h;
        float total = 0;
        for (unsigned other = 0; other < runs; other++)
            total += of_runs[which * BACKWARD_WARPS * CHUNK + other * chunks * CHUNK + column];
        sums[which * of_one + size_t(blockIdx.x) * h + column] = total;
    }
}

}  // namespace layer_norm

// A block for each part of the rows.
template <typename T>
__device__ void layer_norm_backward(T* dy, const T* x_hat, const float* inverses, const float* gamma, Dropout mask,
                                    float gate, T* dx, float* sums, unsigned n, unsigned h, unsigned vectors) {
    const unsigned first = blockIdx.x * ROWS_PER_PART;
    const size_t at = size_t(first) * h;
    SHARED(layer_norm::Statistics, of_rows, ROWS_PER_PART);
    SHARED(float, of_runs, 3 * layer_norm::BACKWARD_WARPS * CHUNK);
    const layer_norm::Part<T> part = {first, min(ROWS_PER_PART, n - first), h, dy + at, dx ? dx + at : nullptr, x_hat + at, gamma,
                          mask, gate};
    if (vectors) layer_norm::backward_part<true>(part, inverses + first, sums, of_rows, of_runs);
    else layer_norm::backward_part<false>(part, inverses + first, sums, of_rows, of_runs);
}
#define PARAMETERS(T)                                                                                                  \
    T *dy, const T *x_hat, const float *inverses, const float *gamma, DROPOUT_PARAMETERS, float gate, T *dx, float *sums, \
        unsigned n, unsigned h, unsigned vectors
KERNEL_WITHIN((layer_norm::BACKWARD_WARPS * WARP, 2), layer_norm_backward, PARAMETERS,
          (dy, x_hat, inverses, gamma, DROPOUT, gate, dx, sums, n, h, vectors))
#undef PARAMETERS
