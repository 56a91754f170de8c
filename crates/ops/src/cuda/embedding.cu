#include "chunks.cuh"
#include "sums.cuh"

namespace embedding {

template <bool VECTORS, typename T>
__device__ __forceinline__ void add_rows(const float* a, const float* b, const float* c, T* out, unsigned h) {
    UNROLL_BY(2)
    for (unsigned first = 0; first < h; first += CHUNK) {
        const Four<float> of_a = load_chunk<VECTORS>(a, first, h), of_b = load_chunk<VECTORS>(b, first, h);
        const Four<float> of_c = load_chunk<VECTORS>(c, first, h);
        float sum[4];
        UNROLL
        for (unsigned i = 0; i < 4; i++) sum[i] = of_a.values[i] + of_b.values[i] + of_c.values[i];
        store_chunk<VECTORS>(out, first, h, sum);
    }
}

// Up to 64 tokens of one row, as in embedding.rs.
struct Piece {
    uint32_t first, count, row, slot;
};
constexpr uint32_t ALONE = 0xFFFFFFFFu;

template <bool VECTORS, typename T>
__device__ __forceinline__ void add_piece(const Piece& piece, const uint32_t* tokens, const T* d, unsigned first,
                                          unsigned h, float* table, float* scratch) {
    constexpr unsigned AT_ONCE = 8;
    float sum[4] = {};
    for (unsigned begin = 0; begin < piece.count; begin += AT_ONCE) {
        unsigned token[AT_ONCE];
        Four<T> chunk[AT_ONCE];
        UNROLL
        for (unsigned i = 0; i < AT_ONCE; i++)
            token[i] = begin + i < piece.count ? tokens[piece.first + begin + i] : 0;
        // A token that is not there has no columns.
        UNROLL
        for (unsigned i = 0; i < AT_ONCE; i++)
            chunk[i] = load_chunk<VECTORS>(d + size_t(token[i]) * h, first, begin + i < piece.count ? h : 0);
        UNROLL
        for (unsigned i = 0; i < AT_ONCE; i++) {
            UNROLL
            for (unsigned j = 0; j < 4; j++) sum[j] += to_float(chunk[i].values[j]);
        }
    }
    if (piece.slot != ALONE) {
        store_chunk<VECTORS>(scratch + size_t(piece.slot) * h, first, h, sum);
        return;
    }
    float* const row = table + size_t(piece.row) * h;
    const Four<float> old = load_chunk<VECTORS>(row, first, h);
    UNROLL
    for (unsigned j = 0; j < 4; j++) sum[j] += old.values[j];
    store_chunk<VECTORS>(row, first, h, sum);
}

}  // namespace embedding

// A warp for each token.
template <typename T>
__device__ void embedding_forward(const float* a, const float* b, const float* c, const uint32_t* rows_of_a,
                                  const uint32_t* rows_of_b, const uint32_t* rows_of_c, T* out, unsigned t, unsigned h,
                                  unsigned vectors) {
    const unsigned token = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (token >= t) return;
    a += size_t(rows_of_a[token]) * h;
    b += size_t(rows_of_b[token]) * h;
    c += size_t(rows_of_c[token]) * h;
    out += size_t(token) * h;
    if (vectors) embedding::add_rows<true>(a, b, c, out, h);
    else embedding::add_rows<false>(a, b, c, out, h);
}
#define PARAMETERS(T)                                                                                            \
    const float *a, const float *b, const float *c, const uint32_t *rows_of_a, const uint32_t *rows_of_b,         \
        const uint32_t *rows_of_c, T *out, unsigned t, unsigned h, unsigned vectors
KERNEL(embedding_forward, PARAMETERS, (a, b, c, rows_of_a, rows_of_b, rows_of_c, out, t, h, vectors))
#undef PARAMETERS

// A warp for each chunk of each piece: its sum goes to the row of the table, or where others are of that row to scratch.
template <typename T>
__device__ void embedding_pieces(const T* d, const uint32_t* tokens, const uint32_t* pieces, unsigned count, unsigned h,
                                 float* table, float* scratch, unsigned vectors) {
    const unsigned chunks = (h + CHUNK - 1) / CHUNK;
    const unsigned warp = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    const unsigned first = warp % chunks * CHUNK;
    if (warp / chunks >= count) return;
    const uint32_t* const words = pieces + size_t(warp / chunks) * 4;
    const embedding::Piece piece = {words[0], words[1], words[2], words[3]};
    if (vectors) embedding::add_piece<true>(piece, tokens, d, first, h, table, scratch);
    else embedding::add_piece<false>(piece, tokens, d, first, h, table, scratch);
}
#define PARAMETERS(T)                                                                                                \
    const T *d, const uint32_t *tokens, const uint32_t *pieces, unsigned count, unsigned h, float *table, float *scratch, \
        unsigned vectors
KERNEL(embedding_pieces, PARAMETERS, (d, tokens, pieces, count, h, table, scratch, vectors))
#undef PARAMETERS

// Blocks (x, y): 32 columns of the row that is y-th among those of several pieces; `rows` has its number, its first slot
// and how many there are.
extern "C" __global__ void embedding_rows(const uint32_t* rows, const float* scratch, unsigned h, float* table) {
    rows += size_t(blockIdx.y) * 3;
    const unsigned column = blockIdx.x * WARP + threadIdx.x % WARP;
    const float sum = sum_of_parts(scratch + size_t(rows[1]) * h, rows[2], h, column);
    if (threadIdx.x < WARP && column < h) table[size_t(rows[0]) * h + column] += sum;
}
REGISTER(embedding_rows)
