// The gradients of keys and values on tensor cores: attention_backward_queries.cu with the sides exchanged, so that a
// block has 64 keys and all scores are transposed.
#include "attention.cuh"
#include "mma.cuh"

// Dynamic shared memory: two tiles of 64 rows and two times two tiles of OTHER rows, (D + 8) of bf16 each.
template <unsigned D>
__device__ __forceinline__ void attention_backward_keys_mma(
    const bf16* d_context, unsigned d_stride, const bf16* q, unsigned q_stride, const bf16* k, unsigned k_stride,
    const bf16* v, unsigned v_stride, const float* log_sums, const float* products, ATTENTION_PARAMETERS,
    BITS_PARAMETERS(const uint32_t), bf16* dk, unsigned dk_stride, bf16* dv, unsigned dv_stride) {
    using namespace attention;
    DYNAMIC_SHARED(memory);
    // Of two stages, the bits of the block's first 32 keys and of its others, and log-sum-exps and products.
    SHARED(uint32_t, words, 2 * 2 * OTHER);
    SHARED(float, statistics, 2 * 2 * OTHER);
    const Place at = ATTENTION_PLACE;
    const unsigned first = blockIdx.x * OWN;
    if (first >= at.keys) return;
    const unsigned rows = min(OWN, at.keys - first);
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const bool busy = warp * 16 < rows;

    constexpr unsigned TILE = OTHER * mma::PITCH<D>;
    bf16* const keys_tile = reinterpret_cast<bf16*>(memory);
    bf16* const values_tile = keys_tile + OWN * mma::PITCH<D>;
    bf16* const stages = values_tile + OWN * mma::PITCH<D>;
    bf16* const own_keys = keys_tile + 16 * warp * mma::PITCH<D>;
    bf16* const own_values = values_tile + 16 * warp * mma::PITCH<D>;
    const bool drops = at.mask.threshold > 0;

    const auto load = [&](unsigned query) {
        const unsigned stage = query / OTHER % 2, there = min(OTHER, at.queries - query);
        bf16* const tile = stages + stage * 2 * TILE;
        mma::load_tile<D, OTHER, THREADS>(tile, at.at_query(q, q_stride, head_size, query), q_stride, there, head_size);
        mma::load_tile<D, OTHER, THREADS>(tile + TILE, at.at_query(d_context, d_stride, head_size, query), d_stride,
                                          there, head_size);
        const unsigned row = threadIdx.x % OTHER;
        if (threadIdx.x < 2 * OTHER) {
            float* const to = statistics + stage * 2 * OTHER + threadIdx.x;
            const bool is_sum = threadIdx.x < OTHER;
            if (row < there) mma::copy_later<4>(to, (is_sum ? log_sums : products) + at.number_of(query + row), true);
            else *to = is_sum ? infinity() : 0.0f;  // rows beyond the last have no probabilities
        } else if (drops) {
            static_assert(THREADS == 4 * OTHER && OWN == 64);
            const unsigned i = threadIdx.x - 2 * OTHER, key = first + i / OTHER * 32;
            const bool is_bits = row < there && key < at.keys;
            mma::copy_later<4>(words + stage * 2 * OTHER + i,
                               is_bits ? bits + at.bits_of(query + row, key, bits_words, bits_rows) : bits, is_bits);
        }
    };
    mma::load_tile<D, OWN, THREADS>(keys_tile, at.at_key(k, k_stride, head_size, first), k_stride, rows, head_size);
    mma::load_tile<D, OWN, THREADS>(values_tile, at.at_key(v, v_stride, head_size, first), v_stride, rows, head_size);
    if (at.queries > 0) load(0);

    // Wide heads leave no registers for the left operands.
    constexpr unsigned HELD = D <= 64 ? D / 16 : 1;
    uint32_t left_k[HELD][4], left_v[HELD][4];
    float d_keys[D / 8][4] = {}, d_values[D / 8][4] = {};
    for (unsigned query = 0; query < at.queries; query += OTHER) {
        mma::wait_for_copies();
        __syncthreads();
        if (query + OTHER < at.queries) load(query + OTHER);
        if (!busy) continue;
        const bf16* const queries_tile = stages + query / OTHER % 2 * 2 * TILE;
        float scores[OTHER / 8][4] = {}, gradients[OTHER / 8][4] = {};
        UNROLL
        for (unsigned i = 0; i < D / 16; i++) {
            const unsigned held = i % HELD;
            if (HELD == 1 || query == 0) {
                mma::load_left<D>(left_k[held], own_keys, i);
                mma::load_left<D>(left_v[held], own_values, i);
            }
            mma::multiply_transposed<OTHER / 8, D>(scores, left_k[held], queries_tile, i);
            mma::multiply_transposed<OTHER / 8, D>(gradients, left_v[held], queries_tile + TILE, i);
        }
        const float* const log_sum = statistics + query / OTHER % 2 * 2 * OTHER;
        const uint32_t* const own_bits = words + (query / OTHER % 2 * 2 + warp / 2) * OTHER;
        UNROLL
        for (unsigned n = 0; n < OTHER / 8; n++)
            UNROLL
            for (unsigned i = 0; i < 2; i++) {
                const unsigned column = 8 * n + lane % 4 * 2 + i;
                // Those of the keys from this lane's first one on.
                const uint32_t mine = drops ? own_bits[column] >> (warp % 2 * 16 + lane / 4) : ~0u;
                const float shift = log_sum[column] * LOG2_E, product = log_sum[OTHER + column];
                UNROLL
                for (unsigned r = 0; r < 2; r++) {
                    float &score = scores[n][2 * r + i], &gradient = gradients[n][2 * r + i];
                    const float p = power_of_two(score * (factor * LOG2_E) - shift);
                    const bool keep = mine >> 8 * r & 1;
                    gradient = p * (keep ? gradient * at.mask.scale - product : -product);
                    score = keep ? p : 0.0f;
                }
            }
        mma::multiply_weights<OTHER / 8, D>(d_values, scores, queries_tile + TILE);
        mma::multiply_weights<OTHER / 8, D>(d_keys, gradients, queries_tile);
    }
    if (at.queries == 0) {
        // The tiles may still be on their way to where the zeros go.
        mma::wait_for_copies();
        __syncthreads();
    }
    if (!busy) return;
    mma::store_rows<D>(d_keys, {factor, factor}, own_keys, at.at_key(dk, dk_stride, head_size, first + 16 * warp),
                       dk_stride, rows - 16 * warp, head_size);
    mma::store_rows<D>(d_values, {at.mask.scale, at.mask.scale}, own_values,
                       at.at_key(dv, dv_stride, head_size, first + 16 * warp), dv_stride, rows - 16 * warp, head_size);
}

#define PARAMETERS(T)                                                                                                 \
    const T *d_context, unsigned d_stride, const T *q, unsigned q_stride, const T *k, unsigned k_stride,     \
        const T *v, unsigned v_stride, const float *log_sums, const float *products, ATTENTION_PARAMETERS,         \
        BITS_PARAMETERS(const uint32_t), T *dk, unsigned dk_stride, T *dv, unsigned dv_stride
MMA_KERNELS(attention_backward_keys, PARAMETERS,
            (d_context, d_stride, q, q_stride, k, k_stride, v, v_stride, log_sums, products, ATTENTION_ARGUMENTS,
             BITS_ARGUMENTS, dk, dk_stride, dv, dv_stride),
            4, 3, 2)
#undef PARAMETERS
