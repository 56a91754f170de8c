// Attention in f32 arithmetic without tensor cores: for activations in f32, and for heads of bf16 that are wider than 128
// or not aligned. The order of work is that of attention_forward.cu and attention_backward.cu.
#include "attention_plain.cuh"

// Dynamic shared memory: tiles of 64 and of 32 rows, and weights.
template <typename T>
__device__ void attention_forward(const T* q, unsigned q_stride, const T* k, unsigned k_stride, const T* v,
                                  unsigned v_stride, ATTENTION_PARAMETERS, float* log_sums, T* context,
                                  unsigned context_stride) {
    using namespace attention;
    DYNAMIC_SHARED(memory);
    SHARED(uint32_t, words, Kept::MOST_WORDS);
    const Place at = ATTENTION_PLACE;
    // Block x has columns x % parts of queries x / parts.
    const unsigned parts = (head_size + COLUMNS - 1) / COLUMNS;
    const unsigned first = blockIdx.x / parts * OWN, column = blockIdx.x % parts * COLUMNS;
    if (first >= at.queries) return;
    const unsigned rows = min(OWN, at.queries - first);
    float* const own_tile = reinterpret_cast<float*>(memory);
    float* const other_tile = own_tile + OWN * PLAIN_PITCH;
    float* const weights = other_tile + OTHER * PLAIN_PITCH;
    const Head<const T> own{at.at_query(q, q_stride, head_size, first), q_stride, rows};
    const bool drops = at.mask.threshold > 0;
    Kept kept{words, at.keys, first, 0, size_t(rows) * at.keys <= Kept::MOST_ELEMENTS};
    if (drops && kept.whole) kept.draw(at.mask, rows, at.keys);

    float peak[4], sum[4] = {}, result[4][8] = {};
    for (float& p : peak) p = -infinity();
    for (unsigned key = 0; key < at.keys; key += OTHER) {
        const unsigned there = min(OTHER, at.keys - key);
        float scores[4][4];
        products_of_rows(scores, own_tile, own, other_tile,
                         Head<const T>{at.at_key(k, k_stride, head_size, key), k_stride, there}, head_size, key == 0);
        if (drops && !kept.whole) {
            kept.key = key;
            kept.draw(at.mask, rows, there);
        }
        __syncthreads();
        const Head<const T> values{at.at_key(v, v_stride, head_size, key), v_stride, there};
        load_plain<OTHER>(other_tile, values, column, head_size);
        for (unsigned i = 0; i < 4; i++) {
            float top = peak[i];
            for (unsigned j = 0; j < 4; j++) {
                scores[i][j] = other_row(j) < there ? scores[i][j] * (factor * LOG2_E) : -infinity();
                top = fmaxf(top, scores[i][j]);
            }
            for (unsigned other = 1; other < 8; other *= 2) top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, other));
            const float smaller = exp2f(peak[i] - top);
            peak[i] = top;
            sum[i] *= smaller;
            for (float& r : result[i]) r *= smaller;
            for (unsigned j = 0; j < 4; j++) {
                const float weight = exp2f(scores[i][j] - top);
                sum[i] += weight;
                const unsigned query = first + min(own_row(i), rows - 1);
                const bool keep = !drops || kept.at(query, min(key + other_row(j), at.keys - 1));
                scores[i][j] = keep ? weight : 0.0f;
            }
        }
        write_weights(weights, scores);
        // The values' tile is right already.
        add_weighted(result, weights, other_tile, values, column, COLUMNS);
    }
    for (unsigned i = 0; i < 4; i++) {
        sum[i] = sum_of_row(sum[i]);
        if (column == 0 && threadIdx.x % 8 == 0 && own_row(i) < rows)
            log_sums[at.number_of(first + own_row(i))] = (peak[i] + log2f(sum[i])) * LN_2;
        sum[i] = at.mask.scale / sum[i];
    }
    store_plain(Head<T>{at.at_query(context, context_stride, head_size, first), context_stride, rows}, result, sum,
                column, head_size);
}
#define PARAMETERS(T)                                                                                                 \
    const T *q, unsigned q_stride, const T *k, unsigned k_stride, const T *v, unsigned v_stride,                      \
        ATTENTION_PARAMETERS, float *log_sums, T *context, unsigned context_stride
KERNEL(attention_forward, PARAMETERS,
       (q, q_stride, k, k_stride, v, v_stride, ATTENTION_ARGUMENTS, log_sums, context, context_stride))
#undef PARAMETERS

// Dynamic shared memory of both kernels of the backward pass: two tiles of 64 and two of 32 rows, and weights.
template <typename T>
__device__ void attention_backward_queries(const T* d_context, unsigned d_stride, const T* q, unsigned q_stride,
                                           const T* k, unsigned k_stride, const T* v, unsigned v_stride,
                                           const T* context, unsigned context_stride, const float* log_sums,
                                           ATTENTION_PARAMETERS, float* products, T* dq, unsigned dq_stride) {
    using namespace attention;
    DYNAMIC_SHARED(memory);
    SHARED(uint32_t, words, Kept::MOST_WORDS);
    const Place at = ATTENTION_PLACE;
    const unsigned parts = (head_size + COLUMNS - 1) / COLUMNS;
    const unsigned first = blockIdx.x / parts * OWN, column = blockIdx.x % parts * COLUMNS;
    if (first >= at.queries) return;
    const unsigned rows = min(OWN, at.queries - first);
    float* const own_q = reinterpret_cast<float*>(memory);
    float* const own_d = own_q + OWN * PLAIN_PITCH;
    float* const other_k = own_d + OWN * PLAIN_PITCH;
    float* const other_v = other_k + OTHER * PLAIN_PITCH;
    float* const weights = other_v + OTHER * PLAIN_PITCH;
    const Head<const T> from_q{at.at_query(q, q_stride, head_size, first), q_stride, rows};
    const Head<const T> from_d{at.at_query(d_context, d_stride, head_size, first), d_stride, rows};
    const bool drops = at.mask.threshold > 0;
    Kept kept{words, at.keys, first, 0, size_t(rows) * at.keys <= Kept::MOST_ELEMENTS};
    if (drops && kept.whole) kept.draw(at.mask, rows, at.keys);

    float product[4] = {}, log_sum[4], result[4][8] = {};
    const T* const from_context = at.at_query(context, context_stride, head_size, first);
    for (unsigned i = 0; i < 4; i++) {
        const bool there = own_row(i) < rows;
        for (unsigned c = threadIdx.x % 8; there && c < head_size; c += 8)
            product[i] += to_float(from_context[own_row(i) * size_t(context_stride) + c]) *
                          to_float(from_d.rows[own_row(i) * from_d.stride + c]);
        product[i] = sum_of_row(product[i]);
        log_sum[i] = there ? log_sums[at.number_of(first + own_row(i))] * LOG2_E : infinity();
        if (there && column == 0 && threadIdx.x % 8 == 0) products[at.number_of(first + own_row(i))] = product[i];
    }
    for (unsigned key = 0; key < at.keys; key += OTHER) {
        const unsigned there = min(OTHER, at.keys - key);
        const Head<const T> from_k{at.at_key(k, k_stride, head_size, key), k_stride, there};
        const Head<const T> from_v{at.at_key(v, v_stride, head_size, key), v_stride, there};
        float scores[4][4], gradients[4][4];
        products_of_rows(scores, own_q, from_q, other_k, from_k, head_size, key == 0);
        if (drops && !kept.whole) {
            kept.key = key;
            kept.draw(at.mask, rows, there);
        }
        products_of_rows(gradients, own_d, from_d, other_v, from_v, head_size, key == 0);
        for (unsigned i = 0; i < 4; i++)
            for (unsigned j = 0; j < 4; j++) {
                const bool is_key = other_row(j) < there;
                const float p = is_key ? exp2f(scores[i][j] * (factor * LOG2_E) - log_sum[i]) : 0.0f;
                const unsigned query = first + min(own_row(i), rows - 1);
                const bool keep = !drops || kept.at(query, min(key + other_row(j), at.keys - 1));
                scores[i][j] = p * ((keep ? gradients[i][j] * at.mask.scale : 0.0f) - product[i]);
            }
        write_weights(weights, scores);
        add_weighted(result, weights, other_k, from_k, column, head_size);
    }
    store_plain(Head<T>{at.at_query(dq, dq_stride, head_size, first), dq_stride, rows}, result,
                {factor, factor, factor, factor}, column, head_size);
}

template <typename T>
__device__ void attention_backward_keys(const T* d_context, unsigned d_stride, const T* q, unsigned q_stride, const T* k,
                                        unsigned k_stride, const T* v, unsigned v_stride, const float* log_sums,
                                        const float* products, ATTENTION_PARAMETERS, T* dk, unsigned dk_stride, T* dv,
                                        unsigned dv_stride) {
    using namespace attention;
    DYNAMIC_SHARED(memory);
    SHARED(uint32_t, words, OTHER * Kept::WORDS_PER_QUERY);
    const Place at = ATTENTION_PLACE;
    const unsigned parts = (head_size + COLUMNS - 1) / COLUMNS;
    const unsigned first = blockIdx.x / parts * OWN, column = blockIdx.x % parts * COLUMNS;
    if (first >= at.keys) return;
    const unsigned rows = min(OWN, at.keys - first);
    float* const own_k = reinterpret_cast<float*>(memory);
    float* const own_v = own_k + OWN * PLAIN_PITCH;
    float* const other_q = own_v + OWN * PLAIN_PITCH;
    float* const other_d = other_q + OTHER * PLAIN_PITCH;
    float* const weights = other_d + OTHER * PLAIN_PITCH;
    const Head<const T> from_k{at.at_key(k, k_stride, head_size, first), k_stride, rows};
    const Head<const T> from_v{at.at_key(v, v_stride, head_size, first), v_stride, rows};
    const bool drops = at.mask.threshold > 0;

    float d_keys[4][8] = {}, d_values[4][8] = {};
    for (unsigned query = 0; query < at.queries; query += OTHER) {
        const unsigned there = min(OTHER, at.queries - query);
        const Head<const T> from_q{at.at_query(q, q_stride, head_size, query), q_stride, there};
        const Head<const T> from_d{at.at_query(d_context, d_stride, head_size, query), d_stride, there};
        const Kept kept{words, at.keys, query, first, at.keys <= OWN};
        float scores[4][4], gradients[4][4];
        products_of_rows(scores, own_k, from_k, other_q, from_q, head_size, query == 0);
        if (drops) kept.draw(at.mask, there, rows);
        products_of_rows(gradients, own_v, from_v, other_d, from_d, head_size, query == 0);
        for (unsigned j = 0; j < 4; j++) {
            const unsigned of = query + min(other_row(j), there - 1);
            const float log_sum = log_sums[at.number_of(of)] * LOG2_E, product = products[at.number_of(of)];
            for (unsigned i = 0; i < 4; i++) {
                const bool is_query = other_row(j) < there;
                const float p = is_query ? exp2f(scores[i][j] * (factor * LOG2_E) - log_sum) : 0.0f;
                const bool keep = !drops || kept.at(of, first + min(own_row(i), rows - 1));
                gradients[i][j] = p * ((keep ? gradients[i][j] * at.mask.scale : 0.0f) - product);
                scores[i][j] = keep ? p : 0.0f;
            }
        }
        write_weights(weights, scores);
        add_weighted(d_values, weights, other_d, from_d, column, head_size);
        __syncthreads();
        write_weights(weights, gradients);
        add_weighted(d_keys, weights, other_q, from_q, column, head_size);
    }
    store_plain(Head<T>{at.at_key(dk, dk_stride, head_size, first), dk_stride, rows}, d_keys,
                {factor, factor, factor, factor}, column, head_size);
    const float kept_scale = at.mask.scale;
    store_plain(Head<T>{at.at_key(dv, dv_stride, head_size, first), dv_stride, rows}, d_values,
                {kept_scale, kept_scale, kept_scale, kept_scale}, column, head_size);
}

#define INPUTS(T)                                                                                                     \
    const T *d_context, unsigned d_stride, const T *q, unsigned q_stride, const T *k, unsigned k_stride, const T *v,  \
        unsigned v_stride
#define QUERIES(T)                                                                                                    \
    INPUTS(T), const T *context, unsigned context_stride, const float *log_sums, ATTENTION_PARAMETERS,                \
        float *products, T *dq, unsigned dq_stride
KERNEL(attention_backward_queries, QUERIES,
       (d_context, d_stride, q, q_stride, k, k_stride, v, v_stride, context, context_stride, log_sums,
        ATTENTION_ARGUMENTS, products, dq, dq_stride))
#define KEYS(T)                                                                                                       \
    INPUTS(T), const float *log_sums, const float *products, ATTENTION_PARAMETERS, T *dk, unsigned dk_stride, T *dv,  \
        unsigned dv_stride
KERNEL(attention_backward_keys, KEYS,
       (d_context, d_stride, q, q_stride, k, k_stride, v, v_stride, log_sums, products, ATTENTION_ARGUMENTS, dk,
        dk_stride, dv, dv_stride))
#undef INPUTS
#undef QUERIES
#undef KEYS
