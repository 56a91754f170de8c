// Attention's backward pass on tensor cores (Dao et al. 2022). Probabilities are recomputed from the log-sum-exps, once
// here, where a block has 64 queries and gives the gradient of queries, and once in attention_backward_keys.cu. With P
// the probabilities, M dropout's multipliers and dO the context's gradient, dV = (P M)ᵀ dO and dS = P (M dO Vᵀ -
// ⟨context, dO⟩); dQ = dS K / √d and dK = dSᵀ Q / √d.
#include "attention.cuh"
#include "mma.cuh"

// Dynamic shared memory: two tiles of 64 rows and two times two tiles of OTHER rows, (D + 8) of bf16 each.
template <unsigned D>
__device__ __forceinline__ void attention_backward_queries_mma(
    const bf16* d_context, unsigned d_stride, const bf16* q, unsigned q_stride, const bf16* k, unsigned k_stride,
    const bf16* v, unsigned v_stride, const bf16* context, unsigned context_stride, const float* log_sums,
    ATTENTION_PARAMETERS, BITS_PARAMETERS(const uint32_t), float* products, bf16* dq, unsigned dq_stride) {
    using namespace attention;
    DYNAMIC_SHARED(memory);
    // Of two stages, the bits of each query.
    SHARED(uint32_t, words, 2 * OWN);
    SHARED(float, own_products, OWN);
    const Place at = ATTENTION_PLACE;
    const unsigned first = blockIdx.x * OWN;
    if (first >= at.queries) return;
    const unsigned rows = min(OWN, at.queries - first);
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const bool busy = warp * 16 < rows;

    constexpr unsigned TILE = OTHER * mma::PITCH<D>;
    bf16* const queries_tile = reinterpret_cast<bf16*>(memory);
    bf16* const d_tile = queries_tile + OWN * mma::PITCH<D>;
    bf16* const stages = d_tile + OWN * mma::PITCH<D>;
    bf16* const own_queries = queries_tile + 16 * warp * mma::PITCH<D>;
    const bf16* const own_d = d_tile + 16 * warp * mma::PITCH<D>;
    const bool drops = at.mask.threshold > 0;

    const auto load = [&](unsigned key) {
        const unsigned stage = key / OTHER % 2, there = min(OTHER, at.keys - key);
        bf16* const tile = stages + stage * 2 * TILE;
        mma::load_tile<D, OTHER, THREADS>(tile, at.at_key(k, k_stride, head_size, key), k_stride, there, head_size);
        mma::load_tile<D, OTHER, THREADS>(tile + TILE, at.at_key(v, v_stride, head_size, key), v_stride, there,
                                          head_size);
        if (drops && threadIdx.x < OWN) {
            const unsigned query = first + min(threadIdx.x, rows - 1);
            mma::copy_later<4>(words + stage * OWN + threadIdx.x, bits + at.bits_of(query, key, bits_words, bits_rows),
                               true);
        }
    };
    mma::load_tile<D, OWN, THREADS>(queries_tile, at.at_query(q, q_stride, head_size, first), q_stride, rows, head_size);
    mma::load_tile<D, OWN, THREADS>(d_tile, at.at_query(d_context, d_stride, head_size, first), d_stride, rows,
                                    head_size);
    load(0);

    const unsigned in_block[2] = {16 * warp + lane / 4, 16 * warp + lane / 4 + 8};
    float product[2] = {}, log_sum[2] = {};
    float out[D / 8][4] = {};
    uint32_t left_q[D / 16][4], left_d[D / 16][4];
    for (unsigned key = 0; key < at.keys; key += OTHER) {
        mma::wait_for_copies();
        __syncthreads();
        if (key + OTHER < at.keys) load(key + OTHER);
        if (!busy) continue;
        if (key == 0) {
            UNROLL
            for (unsigned i = 0; i < D / 16; i++) {
                mma::load_left<D>(left_q[i], own_queries, i);
                mma::load_left<D>(left_d[i], own_d, i);
            }
            // ⟨context, dO⟩ of the warp's queries, D / 8 lanes for each of them.
            constexpr unsigned LANES = D / 8;
            for (unsigned row = lane / LANES; row < 16; row += WARP / LANES) {
                const unsigned column = lane % LANES * 8, query = 16 * warp + row;
                float sum = 0;
                if (query < rows && column < head_size) {
                    const bf16* const from = at.at_query(context, context_stride, head_size, first + query) + column;
                    float a[4], b[4];
                    UNROLL
                    for (unsigned half = 0; half < 8; half += 4) {
                        load4(from + half, a);
                        load4(own_d + row * mma::PITCH<D> + column + half, b);
                        for (unsigned i = 0; i < 4; i++) sum += a[i] * b[i];
                    }
                }
                for (unsigned other = 1; other < LANES; other *= 2) sum += __shfl_xor_sync(ALL_LANES, sum, other);
                if (lane % LANES == 0) {
                    own_products[query] = sum;
                    if (query < rows) products[at.number_of(first + query)] = sum;
                }
            }
            __syncwarp();
            for (unsigned r = 0; r < 2; r++) {
                product[r] = own_products[in_block[r]];
                // Rows beyond the last have no probabilities.
                log_sum[r] = in_block[r] < rows ? log_sums[at.number_of(first + in_block[r])] * LOG2_E : infinity();
            }
        }
        const bf16* const keys_tile = stages + key / OTHER % 2 * 2 * TILE;
        float scores[OTHER / 8][4] = {}, gradients[OTHER / 8][4] = {};
        UNROLL
        for (unsigned i = 0; i < D / 16; i++) {
            mma::multiply_transposed<OTHER / 8, D>(scores, left_q[i], keys_tile, i);
            mma::multiply_transposed<OTHER / 8, D>(gradients, left_d[i], keys_tile + TILE, i);
        }
        UNROLL
        for (unsigned r = 0; r < 2; r++) {
            // Those of the keys from this lane's first one on.
            const uint32_t mine = drops ? words[key / OTHER % 2 * OWN + in_block[r]] >> lane % 4 * 2 : ~0u;
            UNROLL
            for (unsigned n = 0; n < OTHER / 8; n++)
                UNROLL
                for (unsigned i = 0; i < 2; i++) {
                    const bool there = key + 8 * n + lane % 4 * 2 + i < at.keys;
                    float& score = scores[n][2 * r + i];
                    const float p = there ? power_of_two(score * (factor * LOG2_E) - log_sum[r]) : 0.0f;
                    const float multiplier = mine >> (8 * n + i) & 1 ? at.mask.scale : 0.0f;
                    score = p * (gradients[n][2 * r + i] * multiplier - product[r]);
                }
        }
        mma::multiply_weights<OTHER / 8, D>(out, scores, keys_tile);
    }
    if (!busy) return;
    mma::store_rows<D>(out, {factor, factor}, own_queries, at.at_query(dq, dq_stride, head_size, first + 16 * warp),
                       dq_stride, rows - 16 * warp, head_size);
}

#define PARAMETERS(T)                                                                                                 \
    const T *d_context, unsigned d_stride, const T *q, unsigned q_stride, const T *k, unsigned k_stride,     \
        const T *v, unsigned v_stride, const T *context, unsigned context_stride, const float *log_sums,        \
        ATTENTION_PARAMETERS, BITS_PARAMETERS(const uint32_t), float *products, T *dq, unsigned dq_stride
MMA_KERNELS(attention_backward_queries, PARAMETERS,
            (d_context, d_stride, q, q_stride, k, k_stride, v, v_stride, context, context_stride, log_sums,
             ATTENTION_ARGUMENTS, BITS_ARGUMENTS, products, dq, dq_stride),
            4, 3, 2)
#undef PARAMETERS
