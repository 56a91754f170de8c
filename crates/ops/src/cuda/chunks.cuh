// Rows as warps work on them: in chunks of 128 columns, four of them a lane's.
//
// Where rows are whole vectors (VECTORS, which chunks.rs tells) a lane's four are neighbours and move at once; otherwise
// they are 32 apart. Either way a warp's lanes touch neighbouring memory. It is a parameter of templates so that loads of
// several chunks have no branches between them, and none waits for another.
#pragma once
#include "common.cuh"

constexpr unsigned CHUNK = 128;  // as in chunks.rs

// A lane's share of a chunk as it is in memory.
template <typename T>
struct alignas(4 * sizeof(T)) Four {
    T values[4];
};

// The number within its chunk of this lane's column i.
template <bool VECTORS>
__device__ __forceinline__ unsigned column_in_chunk(unsigned i) {
    const unsigned lane = threadIdx.x % WARP;
    return VECTORS ? 4 * lane + i : WARP * i + lane;
}

// This lane's columns of the chunk that begins at column `first`; zeros beyond the width.
template <bool VECTORS, typename T>
__device__ __forceinline__ Four<T> load_chunk(const T* row, unsigned first, unsigned width) {
    Four<T> to = {};
    if (VECTORS) {
        const unsigned column = first + column_in_chunk<VECTORS>(0);
        if (column < width) to = *reinterpret_cast<const Four<T>*>(row + column);
    } else {
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            const unsigned column = first + column_in_chunk<VECTORS>(i);
            if (column < width) to.values[i] = row[column];
        }
    }
    return to;
}
template <bool VECTORS, typename T>
__device__ __forceinline__ void store_chunk(T* row, unsigned first, unsigned width, const Four<T>& values) {
    if (VECTORS) {
        const unsigned column = first + column_in_chunk<VECTORS>(0);
        if (column < width) *reinterpret_cast<Four<T>*>(row + column) = values;
    } else {
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            const unsigned column = first + column_in_chunk<VECTORS>(i);
            if (column < width) row[column] = values.values[i];
        }
    }
}
template <bool VECTORS, typename T>
__device__ __forceinline__ void store_chunk(T* row, unsigned first, unsigned width, const float (&from)[4]) {
    Four<T> values;
    UNROLL
    for (unsigned i = 0; i < 4; i++) values.values[i] = from_float<T>(from[i]);
    store_chunk<VECTORS>(row, first, width, values);
}

// The four as the format holds them; v becomes what is stored.
__device__ __forceinline__ void round_four(float (&v)[4], Four<float>& stored) {
    UNROLL
    for (unsigned i = 0; i < 4; i++) stored.values[i] = v[i];
}
__device__ __forceinline__ void round_four(float (&v)[4], Four<bf16>& stored) {
    UNROLL
    for (unsigned i = 0; i < 4; i += 2) {
        const uint32_t both = pack(v[i], v[i + 1]);
        stored.values[i] = bf16{uint16_t(both)};
        stored.values[i + 1] = bf16{uint16_t(both >> 16)};
        v[i] = bits_to_float(both << 16);
        v[i + 1] = bits_to_float(both & 0xFFFF0000u);
    }
}

// Dropout's decisions on two groups of 128 elements, each a chunk of whole vectors: bit i tells whether this lane's
// column i of group a is kept, bit 16 + i that of group b. All lanes take part, and each lets Philox run once: what
// it says of elements 16 apart goes to the lanes that have them.
__device__ __forceinline__ unsigned kept_of_groups(const Dropout& mask, uint32_t a, uint32_t b) {
    const unsigned lane = threadIdx.x % WARP;
    const Philox block = dropout_block(mask, (lane < 16 ? a : b) * 16 + lane % 16);
    unsigned mine = 0;
    UNROLL
    for (unsigned k = 0; k < 8; k++) {
        const unsigned kept = __ballot_sync(ALL_LANES, pick(block, k, mask) != 0.0f);
        if (k == lane / 4) mine = kept;
    }
    return mine >> lane % 4 * 4;
}
__device__ __forceinline__ float multiplier_of(unsigned kept, unsigned bit, const Dropout& mask) {
    return kept >> bit & 1 ? mask.scale : 0.0f;
}
