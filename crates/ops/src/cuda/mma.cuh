// Tensor cores: products of fragments of bf16 that a warp holds together, and the tiles in shared memory that they are
// read from. Of a fragment with C layout, lane 4g + t holds (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1) of
// 16 x 8; see "Matrix Fragments for mma.m16n8k16" in the PTX manual.
#pragma once
#include "common.cuh"

namespace mma {

struct alignas(16) Words4 {
    uint32_t words[4];
};

// c (16, 8) += a (16, 16) · b (16, 8)
__device__ __forceinline__ void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#ifdef EMULATION
    emulation::multiply_fragments(c, a, b0, b1);
#else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// Four 8 x 8 matrices, the rows of matrix i being at the addresses of lanes 8 i to 8 i + 7.
template <bool transposed>
__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], const bf16* row) {
#ifdef EMULATION
    emulation::load_matrices(to, row, transposed);
#else
    const unsigned at = unsigned(__cvta_generic_to_shared(row));
    if (transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at)
                     : "memory");
#endif
}

// 16, or 4, bytes to shared memory in the background; zeros unless `there`, when `from` is not read.
template <unsigned bytes>
__device__ __forceinline__ void copy_later(void* to, const void* from, bool there) {
    static_assert(bytes == 16 || bytes == 4);
#ifdef EMULATION
    emulation::copy_later(to, from, bytes, there);
#else
    const unsigned at = unsigned(__cvta_generic_to_shared(to)), read = there ? bytes : 0;
    if (bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(read) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(at), "l"(from), "r"(read) : "memory");
#endif
}

// Waits for all that this thread has asked for; others see it once they have met.
__device__ __forceinline__ void wait_for_copies() {
#ifdef EMULATION
    emulation::wait_for_copies();
#else
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

// Rows of a tile are so far apart that eight of them lie in different banks.
template <unsigned D>
constexpr unsigned PITCH = D + 8;

// `rows` x D of a matrix, in the background; zeros where it has fewer rows, or columns (a multiple of 8).
template <unsigned D, unsigned rows, unsigned threads>
__device__ __forceinline__ void load_tile(bf16* tile, const bf16* from, size_t stride, unsigned has_rows,
                                          unsigned has_columns) {
    static_assert(rows * (D / 8) % threads == 0);
    UNROLL
    for (unsigned first = 0; first < rows * (D / 8); first += threads) {
        const unsigned i = first + threadIdx.x, row = i / (D / 8), column = i % (D / 8) * 8;
        const bool there = row < has_rows && column < has_columns;
        copy_later<16>(tile + row * PITCH<D> + column, there ? from + row * stride + column : from, there);
    }
}

// A warp's 16 x D sums times `factor` as bf16, by way of its 16 rows of a tile that no other warp uses any more.
template <unsigned D>
__device__ __forceinline__ void store_rows(const float (&sums)[D / 8][4], const float (&factor)[2], bf16* tile, bf16* to,
                                           size_t stride, unsigned has_rows, unsigned has_columns) {
    const unsigned lane = threadIdx.x % WARP;
    __syncwarp();
    UNROLL
    for (unsigned n = 0; n < D / 8; n++) {
        uint32_t* const at = reinterpret_cast<uint32_t*>(tile + lane / 4 * PITCH<D> + 8 * n + lane % 4 * 2);
        at[0] = pack(sums[n][0] * factor[0], sums[n][1] * factor[0]);
        at[8 * PITCH<D> / 2] = pack(sums[n][2] * factor[1], sums[n][3] * factor[1]);
    }
    __syncwarp();
    for (unsigned i = lane; i < 16 * (D / 8); i += WARP) {
        const unsigned row = i / (D / 8), column = i % (D / 8) * 8;
        if (row < has_rows && column < has_columns)
            *reinterpret_cast<Words4*>(to + row * stride + column) =
                *reinterpret_cast<const Words4*>(tile + row * PITCH<D> + column);
    }
}

// Rows 0..16, columns 16 k.. of a tile as the left operand.
template <unsigned D>
__device__ __forceinline__ void load_left(uint32_t (&a)[4], const bf16* tile, unsigned k) {
    const unsigned lane = threadIdx.x % WARP;
    load_matrices<false>(a, tile + lane % 16 * PITCH<D> + 16 * k + lane / 16 * 8);
}

// sums (16, 8 N) += a (16, 16) · columns 16 k.. of the tile (8 N, D), transposed.
template <unsigned N, unsigned D>
__device__ __forceinline__ void multiply_transposed(float (&sums)[N][4], const uint32_t (&a)[4], const bf16* tile,
                                                    unsigned k) {
    const unsigned lane = threadIdx.x % WARP;
    UNROLL
    for (unsigned n = 0; n < N; n += 2) {
        uint32_t b[4];
        load_matrices<false>(b, tile + (8 * n + lane / 16 * 8 + lane % 8) * PITCH<D> + 16 * k + lane / 8 % 2 * 8);
        multiply(sums[n], a, b[0], b[1]);
        multiply(sums[n + 1], a, b[2], b[3]);
    }
}

// sums (16, D) += weights (16, 8 N), in C layout, · tile (8 N, D)
template <unsigned N, unsigned D>
__device__ __forceinline__ void multiply_weights(float (&sums)[D / 8][4], const float (&weights)[N][4],
                                                 const bf16* tile) {
    const unsigned lane = threadIdx.x % WARP;
    UNROLL
    for (unsigned k = 0; k < N / 2; k++) {
        // Two neighbours in C layout are a left operand.
        const float(&low)[4] = weights[2 * k], (&high)[4] = weights[2 * k + 1];
        const uint32_t a[4] = {pack(low[0], low[1]), pack(low[2], low[3]), pack(high[0], high[1]),
                               pack(high[2], high[3])};
        UNROLL
        for (unsigned n = 0; n < D / 8; n += 2) {
            uint32_t b[4];
            load_matrices<true>(b, tile + (16 * k + lane % 16) * PITCH<D> + 8 * n + lane / 16 * 8);
            multiply(sums[n], a, b[0], b[1]);
            multiply(sums[n + 1], a, b[2], b[3]);
        }
    }
}

}  // namespace mma
