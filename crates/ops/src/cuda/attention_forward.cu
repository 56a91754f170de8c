// Attention's forward pass on tensor cores, with the softmax as the keys go by (Milakov and Gimelshein 2018; Dao et al.
// 2022): a block has 64 queries of one head of one sequence, 16 for each warp, and all their keys, N at a time.
#include "attention.cuh"
#include "mma.cuh"

// Dynamic shared memory: 64 rows of queries and two times N of keys and of values, (D + 8) of bf16 each. D is the head
// size or more; columns beyond it are zeros.
template <unsigned D>
__device__ __forceinline__ void attention_forward_mma(const bf16* q, unsigned q_stride, const bf16* k, unsigned k_stride,
                                                      const bf16* v, unsigned v_stride, ATTENTION_PARAMETERS,
                                                      float* log_sums, BITS_PARAMETERS(uint32_t), bf16* context,
                                                      unsigned context_stride) {
    using namespace attention;
    constexpr unsigned N = D <= 64 ? 64 : 32;
    DYNAMIC_SHARED(memory);
    SHARED(uint32_t, words, Kept::MOST_WORDS);
    const Place at = ATTENTION_PLACE;
    const unsigned first = blockIdx.x * OWN;
    if (first >= at.queries) return;
    const unsigned rows = min(OWN, at.queries - first);
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const bool busy = warp * 16 < rows;

    constexpr unsigned STAGE = 2 * N * mma::PITCH<D>;
    bf16* const queries_tile = reinterpret_cast<bf16*>(memory);
    bf16* const stages = queries_tile + OWN * mma::PITCH<D>;
    bf16* const own_queries = queries_tile + 16 * warp * mma::PITCH<D>;
    const bool drops = at.mask.threshold > 0;
    Kept kept{words, at.keys, first, 0, size_t(rows) * at.keys <= Kept::MOST_ELEMENTS};

    const auto load = [&](unsigned key) {
        bf16* const tile = stages + key / N % 2 * STAGE;
        const unsigned there = min(N, at.keys - key);
        mma::load_tile<D, N, THREADS>(tile, at.at_key(k, k_stride, head_size, key), k_stride, there, head_size);
        mma::load_tile<D, N, THREADS>(tile + STAGE / 2, at.at_key(v, v_stride, head_size, key), v_stride, there,
                                      head_size);
    };
    mma::load_tile<D, OWN, THREADS>(queries_tile, at.at_query(q, q_stride, head_size, first), q_stride, rows, head_size);
    load(0);
    if (drops && kept.whole) kept.draw(at.mask, rows, at.keys);

    // Of this thread's two queries, in powers of two: the largest score so far, and its part of the sum.
    float peak[2] = {-infinity(), -infinity()}, sum[2] = {0, 0};
    const unsigned in_block[2] = {16 * warp + lane / 4, 16 * warp + lane / 4 + 8};
    float out[D / 8][4] = {};
    uint32_t left[D / 16][4];
    for (unsigned key = 0; key < at.keys; key += N) {
        mma::wait_for_copies();
        __syncthreads();
        // Everybody has done with the keys before these, and their place can take those after.
        if (key + N < at.keys) load(key + N);
        if (drops && !kept.whole) {
            kept.key = key;
            kept.draw(at.mask, rows, min(N, at.keys - key));
            __syncthreads();
        }
        if (drops && bits)
            for (unsigned i = threadIdx.x; i < OWN * (N / 32); i += THREADS) {
                const unsigned query = i % OWN, from = key + i / OWN * 32;
                if (query >= rows || from >= at.keys) continue;
                const unsigned beyond = 32 - min(32u, at.keys - from);
                bits[at.bits_of(first + query, from, bits_words, bits_rows)] =
                    kept.window(first + query, from) & ~0u >> beyond;
            }
        if (!busy) continue;
        const bf16* const keys_tile = stages + key / N % 2 * STAGE;
        if (key == 0)
            UNROLL
            for (unsigned i = 0; i < D / 16; i++) mma::load_left<D>(left[i], own_queries, i);
        float scores[N / 8][4] = {};
        UNROLL
        for (unsigned i = 0; i < D / 16; i++) mma::multiply_transposed<N / 8, D>(scores, left[i], keys_tile, i);

        float top[2] = {peak[0], peak[1]};
        UNROLL
        for (unsigned n = 0; n < N / 8; n++)
            UNROLL
            for (unsigned i = 0; i < 4; i++) {
                const bool there = key + 8 * n + lane % 4 * 2 + i % 2 < at.keys;
                scores[n][i] = there ? scores[n][i] * (factor * LOG2_E) : -infinity();
                top[i / 2] = fmaxf(top[i / 2], scores[n][i]);
            }
        UNROLL
        for (unsigned r = 0; r < 2; r++) {
            for (unsigned other = 1; other < 4; other *= 2)
                top[r] = fmaxf(top[r], __shfl_xor_sync(ALL_LANES, top[r], other));
            const float smaller = power_of_two(peak[r] - top[r]);
            peak[r] = top[r];
            sum[r] *= smaller;
            UNROLL
            for (unsigned n = 0; n < D / 8; n++) {
                out[n][2 * r] *= smaller;
                out[n][2 * r + 1] *= smaller;
            }
            const unsigned query = first + min(in_block[r], rows - 1);
            UNROLL
            for (unsigned n = 0; n < N / 8; n++) {
                // The bits of 32 keys, beginning with the first one of this lane.
                const uint32_t bits = drops ? kept.window(query, key + n / 4 * 32) >> lane % 4 * 2 : ~0u;
                UNROLL
                for (unsigned i = 0; i < 2; i++) {
                    float& score = scores[n][2 * r + i];
                    const float weight = power_of_two(score - top[r]);
                    sum[r] += weight;
                    score = bits >> (n % 4 * 8 + i) & 1 ? weight : 0.0f;
                }
            }
        }
        mma::multiply_weights<N / 8, D>(out, scores, keys_tile + STAGE / 2);
    }
    if (!busy) return;
    float last[2];
    UNROLL
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned other = 1; other < 4; other *= 2) sum[r] += __shfl_xor_sync(ALL_LANES, sum[r], other);
        last[r] = at.mask.scale / sum[r];
        if (lane % 4 == 0 && in_block[r] < rows)
            log_sums[at.number_of(first + in_block[r])] = (peak[r] + log2f(sum[r])) * LN_2;
    }
    mma::store_rows<D>(out, last, own_queries,
                       at.at_query(context, context_stride, head_size, first + 16 * warp), context_stride,
                       rows - 16 * warp, head_size);
}

#define PARAMETERS(T)                                                                                                 \
    const T *q, unsigned q_stride, const T *k, unsigned k_stride, const T *v, unsigned v_stride,             \
        ATTENTION_PARAMETERS, float *log_sums, BITS_PARAMETERS(uint32_t), T *context, unsigned context_stride
MMA_KERNELS(attention_forward, PARAMETERS,
            (q, q_stride, k, k_stride, v, v_stride, ATTENTION_ARGUMENTS, log_sums, BITS_ARGUMENTS, context,
             context_stride),
            5, 4, 2)
#undef PARAMETERS
