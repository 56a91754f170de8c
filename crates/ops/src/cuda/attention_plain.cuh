// Tiles of f32 in shared memory, for attention without tensor cores: a block has 64 rows of queries or keys of its own,
// and goes through those of the other side 32 at a time. A head's columns are worked on 64 at a time, so any head size
// will do; of the results a block computes 64 columns.
#pragma once
#include "attention.cuh"

namespace attention {

constexpr unsigned COLUMNS = 64;
// Floats between rows of tiles, and of weights (64, 32): vectors of four in different banks.
constexpr unsigned PLAIN_PITCH = COLUMNS + 4;
constexpr unsigned WEIGHTS_PITCH = OTHER + 4;

template <typename T>
__device__ __forceinline__ bool is_aligned(const T* at) {
    return reinterpret_cast<uintptr_t>(at) % (4 * sizeof(T)) == 0;
}

// A place in device memory whose rows are a head's.
template <typename T>
struct Head {
    T* rows;
    size_t stride;
    unsigned has_rows;
};

// rows x 64 of the head from column `column`, zeros where there is nothing.
template <unsigned rows, typename T>
__device__ __forceinline__ void load_plain(float* tile, const Head<const T>& from, unsigned column, unsigned head_size) {
    for (unsigned i = threadIdx.x; i < rows * (COLUMNS / 4); i += THREADS) {
        const unsigned row = i / (COLUMNS / 4), c = i % (COLUMNS / 4) * 4;
        float v[4] = {};
        if (row < from.has_rows && column + c < head_size) {
            const T* const at = from.rows + row * from.stride + column + c;
            const unsigned n = min(4u, head_size - column - c);
            if (n == 4 && is_aligned(at)) load4(at, v);
            else for (unsigned j = 0; j < n; j++) v[j] = to_float(at[j]);
        }
        store4(tile + row * PLAIN_PITCH + c, v);
    }
}

// Thread (x, y) of (8, 16) has rows y + 16 i of the block's own, and rows x + 8 j of the others.
__device__ __forceinline__ unsigned own_row(unsigned i) { return threadIdx.x / 8 + 16 * i; }
__device__ __forceinline__ unsigned other_row(unsigned j) { return threadIdx.x % 8 + 8 * j; }
// Of results, it has columns 4 x .. 4 x + 3 and the same 32 further on.
__device__ __forceinline__ unsigned result_column(unsigned j) { return threadIdx.x % 8 * 4 + j / 4 * 32; }

// sums[i][j] ← ⟨own row i, other row j⟩ over the whole head. Loads the tiles: those of the block's own rows only when
// `first`, if the head is no wider than a tile, and then leaves the others' tile as it will be needed again.
template <typename T>
__device__ __forceinline__ void products_of_rows(float (&sums)[4][4], float* own_tile, const Head<const T>& own,
                                                 float* other_tile, const Head<const T>& other, unsigned head_size,
                                                 bool first) {
    for (auto& row : sums)
        for (float& sum : row) sum = 0;
    for (unsigned column = 0; column < head_size; column += COLUMNS) {
        __syncthreads();
        if (first || head_size > COLUMNS) load_plain<OWN>(own_tile, own, column, head_size);
        load_plain<OTHER>(other_tile, other, column, head_size);
        __syncthreads();
        for (unsigned c = 0; c < COLUMNS; c += 4) {
            float a[4][4], b[4][4];
            for (unsigned i = 0; i < 4; i++) load4(own_tile + own_row(i) * PLAIN_PITCH + c, a[i]);
            for (unsigned j = 0; j < 4; j++) load4(other_tile + other_row(j) * PLAIN_PITCH + c, b[j]);
            for (unsigned i = 0; i < 4; i++)
                for (unsigned j = 0; j < 4; j++)
                    for (unsigned n = 0; n < 4; n++) sums[i][j] += a[i][n] * b[j][n];
        }
    }
}

// result (64, 64) += weights (64, 32) · the others' tile (32, 64); waits until the weights are there. The tile is loaded
// again where the products of rows have left another part of the head in it.
template <typename T>
__device__ __forceinline__ void add_weighted(float (&result)[4][8], const float* weights, float* other_tile,
                                             const Head<const T>& other, unsigned column, unsigned head_size) {
    __syncthreads();
    if (head_size > COLUMNS) {
        load_plain<OTHER>(other_tile, other, column, head_size);
        __syncthreads();
    }
    for (unsigned row = 0; row < OTHER; row += 4) {
        float w[4][4];
        for (unsigned i = 0; i < 4; i++) load4(weights + own_row(i) * WEIGHTS_PITCH + row, w[i]);
        for (unsigned n = 0; n < 4; n++)
            for (unsigned j = 0; j < 8; j += 4) {
                float v[4];
                load4(other_tile + (row + n) * PLAIN_PITCH + result_column(j), v);
                for (unsigned i = 0; i < 4; i++)
                    for (unsigned m = 0; m < 4; m++) result[i][j + m] += w[i][n] * v[m];
            }
    }
}

__device__ __forceinline__ void write_weights(float* weights, const float (&values)[4][4]) {
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 4; j++) weights[own_row(i) * WEIGHTS_PITCH + other_row(j)] = values[i][j];
}

// Writes this thread's part of the result, its row i times factor[i].
template <typename T>
__device__ __forceinline__ void store_plain(const Head<T>& to, const float (&result)[4][8], const float (&factor)[4],
                                            unsigned column, unsigned head_size) {
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 8; j += 4) {
            const unsigned c = column + result_column(j);
            if (own_row(i) >= to.has_rows || c >= head_size) continue;
            T* const at = to.rows + own_row(i) * to.stride + c;
            float v[4];
            for (unsigned m = 0; m < 4; m++) v[m] = result[i][j + m] * factor[i];
            const unsigned n = min(4u, head_size - c);
            if (n == 4 && is_aligned(at)) store4(at, v);
            else for (unsigned m = 0; m < n; m++) at[m] = from_float<T>(v[m]);
        }
}

// Over the 8 threads that share rows.
__device__ __forceinline__ float sum_of_row(float v) {
    for (unsigned other = 1; other < 8; other *= 2) v += __shfl_xor_sync(ALL_LANES, v, other);
    return v;
}

}  // namespace attention
