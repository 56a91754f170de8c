// Attention's backward pass on tensor cores (Dao et al. 2022). Probabilities are recomputed from the log-sum-exps, once
// for the gradient of queries, where a block has 64 queries, and once for those of keys and values, where it has 64 keys.
// With P the probabilities, M dropout's multipliers and dO the context's gradient, dV = (P M)ᵀ dO and dS = P (M dO Vᵀ -
// ⟨context, dO⟩); dQ = dS K / √d and dK = dSᵀ Q / √d.
#include "attention.cuh"
#include "mma.cuh"

// Rows of the other side at a time. Dynamic shared memory of both kernels: two tiles of 64 rows and two times two tiles
// of OTHER rows, (D + 8) of bf16 each.
constexpr unsigned OTHER = 32;

template <unsigned D>
__device__ __forceinline__ void attention_backward_queries_mma(
    const bf16* d_context, unsigned d_stride, const bf16* q, unsigned q_stride, const bf16* k, unsigned k_stride,
    const bf16* v, unsigned v_stride, const bf16* context, unsigned context_stride, const float* log_sums,
    ATTENTION_PARAMETERS, float* products, bf16* dq, unsigned dq_stride) {
    using namespace attention;
    DYNAMIC_SHARED(memory);
    SHARED(uint32_t, words, Kept::MOST_WORDS);
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
    Kept kept{words, at.keys, first, 0, size_t(rows) * at.keys <= Kept::MOST_ELEMENTS};

    const auto load = [&](unsigned key) {
        bf16* const tile = stages + key / OTHER % 2 * 2 * TILE;
        const unsigned there = min(OTHER, at.keys - key);
        mma::load_tile<D, OTHER, THREADS>(tile, at.at_key(k, k_stride, head_size, key), k_stride, there, head_size);
        mma::load_tile<D, OTHER, THREADS>(tile + TILE, at.at_key(v, v_stride, head_size, key), v_stride, there,
                                          head_size);
    };
    mma::load_tile<D, OWN, THREADS>(queries_tile, at.at_query(q, q_stride, head_size, first), q_stride, rows, head_size);
    mma::load_tile<D, OWN, THREADS>(d_tile, at.at_query(d_context, d_stride, head_size, first), d_stride, rows,
                                    head_size);
    load(0);
    if (drops && kept.whole) kept.draw(at.mask, rows, at.keys);

    const unsigned in_block[2] = {16 * warp + lane / 4, 16 * warp + lane / 4 + 8};
    float product[2] = {}, log_sum[2] = {};
    float out[D / 8][4] = {};
    uint32_t left_q[D / 16][4], left_d[D / 16][4];
    for (unsigned key = 0; key < at.keys; key += OTHER) {
        mma::wait_for_copies();
        __syncthreads();
        if (key + OTHER < at.keys) load(key + OTHER);
        if (drops && !kept.whole) {
            kept.key = key;
            kept.draw(at.mask, rows, min(OTHER, at.keys - key));
            __syncthreads();
        }
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
            const unsigned query = first + min(in_block[r], rows - 1);
            const uint32_t bits = drops ? kept.window(query, key) >> lane % 4 * 2 : ~0u;
            UNROLL
            for (unsigned n = 0; n < OTHER / 8; n++)
                UNROLL
                for (unsigned i = 0; i < 2; i++) {
                    const bool there = key + 8 * n + lane % 4 * 2 + i < at.keys;
                    float& score = scores[n][2 * r + i];
                    const float p = there ? mma::power_of_two(score * (factor * LOG2_E) - log_sum[r]) : 0.0f;
                    const float multiplier = bits >> (8 * n + i) & 1 ? at.mask.scale : 0.0f;
                    score = p * (gradients[n][2 * r + i] * multiplier - product[r]);
                }
        }
        mma::multiply_weights<OTHER / 8, D>(out, scores, keys_tile);
    }
    if (!busy) return;
    mma::store_rows<D>(out, {factor, factor}, own_queries, at.at_query(dq, dq_stride, head_size, first + 16 * warp),
                       dq_stride, rows - 16 * warp, head_size);
}

// What is (query, key) above is (key, query) here.
template <unsigned D>
__device__ __forceinline__ void attention_backward_keys_mma(
    const bf16* d_context, unsigned d_stride, const bf16* q, unsigned q_stride, const bf16* k, unsigned k_stride,
    const bf16* v, unsigned v_stride, const float* log_sums, const float* products, ATTENTION_PARAMETERS, bf16* dk,
    unsigned dk_stride, bf16* dv, unsigned dv_stride) {
    using namespace attention;
    constexpr unsigned WORDS = OTHER * Kept::WORDS_PER_QUERY + Kept::GROUP_WORDS;
    DYNAMIC_SHARED(memory);
    SHARED(uint32_t, words, 2 * WORDS);
    // Log-sum-exps and products of two stages.
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
    const auto bits_of = [&](unsigned query) {
        return Kept{words + query / OTHER % 2 * WORDS, at.keys, query, first, at.keys <= OWN};
    };

    const auto load = [&](unsigned query) {
        const unsigned stage = query / OTHER % 2, there = min(OTHER, at.queries - query);
        bf16* const tile = stages + stage * 2 * TILE;
        mma::load_tile<D, OTHER, THREADS>(tile, at.at_query(q, q_stride, head_size, query), q_stride, there, head_size);
        mma::load_tile<D, OTHER, THREADS>(tile + TILE, at.at_query(d_context, d_stride, head_size, query), d_stride,
                                          there, head_size);
        if (threadIdx.x < 2 * OTHER) {
            const unsigned row = threadIdx.x % OTHER;
            float* const to = statistics + stage * 2 * OTHER + threadIdx.x;
            const bool is_sum = threadIdx.x < OTHER;
            if (row < there) mma::copy_later<4>(to, (is_sum ? log_sums : products) + at.number_of(query + row), true);
            else *to = is_sum ? infinity() : 0.0f;  // rows beyond the last have no probabilities
        }
        if (drops) bits_of(query).draw(at.mask, there, rows);
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
        const Kept kept = bits_of(query);
        const float* const log_sum = statistics + query / OTHER % 2 * 2 * OTHER;
        UNROLL
        for (unsigned n = 0; n < OTHER / 8; n++)
            UNROLL
            for (unsigned i = 0; i < 2; i++) {
                const unsigned column = 8 * n + lane % 4 * 2 + i;
                const unsigned of = min(query + column, at.queries - 1);
                const uint32_t bits = drops ? kept.window(of, first + 16 * warp) >> lane / 4 : ~0u;
                const float shift = log_sum[column] * LOG2_E, product = log_sum[OTHER + column];
                UNROLL
                for (unsigned r = 0; r < 2; r++) {
                    float &score = scores[n][2 * r + i], &gradient = gradients[n][2 * r + i];
                    const float p = mma::power_of_two(score * (factor * LOG2_E) - shift);
                    const bool keep = bits >> 8 * r & 1;
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

#define KERNELS(name, parameters, arguments)                                                                          \
    extern "C" __global__ void __launch_bounds__(128, 4) name##_mma32_bf16(parameters) { name##_mma<32> arguments; }  \
    extern "C" __global__ void __launch_bounds__(128, 3) name##_mma64_bf16(parameters) { name##_mma<64> arguments; }  \
    extern "C" __global__ void __launch_bounds__(128, 2) name##_mma128_bf16(parameters) { name##_mma<128> arguments; } \
    REGISTER(name##_mma32_bf16)                                                                                       \
    REGISTER(name##_mma64_bf16)                                                                                       \
    REGISTER(name##_mma128_bf16)
#define INPUTS                                                                                                        \
    const bf16 *d_context, unsigned d_stride, const bf16 *q, unsigned q_stride, const bf16 *k, unsigned k_stride,     \
        const bf16 *v, unsigned v_stride
#define QUERIES                                                                                                       \
    INPUTS, const bf16 *context, unsigned context_stride, const float *log_sums, ATTENTION_PARAMETERS,                \
        float *products, bf16 *dq, unsigned dq_stride
KERNELS(attention_backward_queries, QUERIES,
        (d_context, d_stride, q, q_stride, k, k_stride, v, v_stride, context, context_stride, log_sums,
         ATTENTION_ARGUMENTS, products, dq, dq_stride))
#define KEYS                                                                                                          \
    INPUTS, const float *log_sums, const float *products, ATTENTION_PARAMETERS, bf16 *dk, unsigned dk_stride,         \
        bf16 *dv, unsigned dv_stride
KERNELS(attention_backward_keys, KEYS,
        (d_context, d_stride, q, q_stride, k, k_stride, v, v_stride, log_sums, products, ATTENTION_ARGUMENTS, dk,
         dk_stride, dv, dv_stride))
#undef KERNELS
#undef INPUTS
#undef QUERIES
#undef KEYS
