#include "chunks.cuh"

// A warp for each row: out (n, H) = the rows of x that `rows` names.
template <bool VECTORS, typename T>
__device__ __forceinline__ void gather_row(const T* x, T* out, unsigned h) {
    UNROLL_BY(4)
    for (unsigned first = 0; first < h; first += CHUNK) {
        const Four<T> chunk = load_chunk<VECTORS>(x, first, h);
        float values[4];
        UNROLL
        for (unsigned i = 0; i < 4; i++) values[i] = to_float(chunk.values[i]);
        store_chunk<VECTORS>(out, first, h, values);
    }
}
template <typename T>
__device__ void rows_gather(const T* x, const uint32_t* rows, unsigned n, unsigned h, T* out, unsigned vectors) {
    const unsigned i = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (i >= n) return;
    const T* const from = x + size_t(rows[i]) * h;
    if (vectors) gather_row<true>(from, out + size_t(i) * h, h);
    else gather_row<false>(from, out + size_t(i) * h, h);
}
#define PARAMETERS(T) const T *x, const uint32_t *rows, unsigned n, unsigned h, T *out, unsigned vectors
KERNEL(rows_gather, PARAMETERS, (x, rows, n, h, out, vectors))
#undef PARAMETERS

template <bool VECTORS, typename T>
__device__ __forceinline__ void add_row(const T* d, T* to, unsigned h) {
    UNROLL_BY(4)
    for (unsigned first = 0; first < h; first += CHUNK) {
        const Four<T> chunk = load_chunk<VECTORS>(d, first, h), old = load_chunk<VECTORS>(to, first, h);
        float values[4];
        UNROLL
        for (unsigned i = 0; i < 4; i++) values[i] = to_float(old.values[i]) + to_float(chunk.values[i]);
        store_chunk<VECTORS>(to, first, h, values);
    }
}
// A warp for each row of d (n, H), which is added to the row of `to` that `rows` names for it alone.
template <typename T>
__device__ void rows_scatter_add(const T* d, const uint32_t* rows, unsigned n, unsigned h, T* to, unsigned vectors) {
    const unsigned i = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (i >= n) return;
    T* const row = to + size_t(rows[i]) * h;
    if (vectors) add_row<true>(d + size_t(i) * h, row, h);
    else add_row<false>(d + size_t(i) * h, row, h);
}
#define PARAMETERS(T) const T *d, const uint32_t *rows, unsigned n, unsigned h, T *to, unsigned vectors
KERNEL(rows_scatter_add, PARAMETERS, (d, rows, n, h, to, vectors))
#undef PARAMETERS
