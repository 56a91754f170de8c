// CUDA's language on the host, so that the kernels run in the ordinary tests, under sanitizers too.
//
// The threads of a block are fibers of one thread of the system: one runs until it has to wait for others, at a barrier
// or in an exchange within its warp. Shared memory is allocated for each block with its exact size, and begins as NaNs.
// races.h finds the races that this order of execution happens to hide.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#define EMULATION
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __restrict__
#define __launch_bounds__(...)
#define SHARED(type, name, count)     \
    static char tag_of_##name;        \
    type(&name)[count] = *reinterpret_cast<type(*)[count]>(emulation::shared(&tag_of_##name, sizeof(type[count])))
#define DYNAMIC_SHARED(name) unsigned char* const name = emulation::dynamic_shared()
#define UNROLL
#define UNROLL_BY(count)
#define REGISTER(name) static const emulation::Registration registration_of_##name(#name, name);

struct Dimensions {
    unsigned x, y, z;
};

namespace emulation {

struct Coordinates {
    Dimensions grid, block, block_size, thread;
};
// Of the fiber that runs.
const Coordinates& here();
unsigned char* dynamic_shared();
// This block's array that is declared at the place with this tag.
void* shared(const void* tag, size_t bytes);

void block_barrier();
// Waits for the lanes of this warp that have not ended.
void warp_barrier();
// What this lane gives in an exchange; waits for the lanes that have not ended.
void give(const uint64_t* words, size_t count);
// What a lane of this warp gave in the exchange that this one took part in last.
void take(unsigned lane, uint64_t* words, size_t count);
constexpr size_t SLOT = 16;
[[noreturn]] void fail(const char* what);

using Unpacked = void (*)(void (*)(), void**);
struct Registration {
    template <typename... P>
    Registration(const char* name, void (*kernel)(P...)) {
        add(name, reinterpret_cast<void (*)()>(kernel), &unpack<P...>, sizeof...(P));
    }
    void add(const char* name, void (*kernel)(), Unpacked unpack, unsigned parameters);

    template <typename... P>
    static void unpack(void (*kernel)(), void** arguments) {
        call(reinterpret_cast<void (*)(P...)>(kernel), arguments, std::index_sequence_for<P...>());
    }

    template <typename... P, size_t... I>
    static void call(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
        kernel(*static_cast<P*>(arguments[I])...);
    }
};

// What all lanes of a warp give, seen by all of them.
template <typename V, typename Use>
auto exchange(const V& mine, Use use) {
    constexpr size_t COUNT = (sizeof(V) + 7) / 8;
    static_assert(COUNT <= SLOT);
    uint64_t words[COUNT] = {};
    memcpy(words, &mine, sizeof(V));
    give(words, COUNT);
    return use([](unsigned lane) {
        uint64_t words[COUNT];
        take(lane, words, COUNT);
        V theirs;
        memcpy(&theirs, words, sizeof(V));
        return theirs;
    });
}

// Tensor cores' c (16, 8) += a (16, 16) · b (16, 8) of bf16, in the fragments that PTX describes for mma.m16n8k16: of
// lane 4 g + t, register i of a has row g + 8 (i % 2), columns 2 t + 8 (i / 2) and the next; register i of b has column
// g, rows 2 t + 8 i and the next.
inline void multiply_fragments(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    struct Operands {
        uint32_t a[4], b[2];
    };
    const auto half = [](uint32_t pair, unsigned which) {
        const uint32_t bits = which ? pair & 0xFFFF0000u : pair << 16;
        float value;
        memcpy(&value, &bits, 4);
        return value;
    };
    const unsigned lane = here().thread.x % 32;
    exchange(Operands{{a[0], a[1], a[2], a[3]}, {b0, b1}}, [&](auto of) {
        for (unsigned t = 0; t < 4; t++) {
            const Operands rows = of(lane / 4 * 4 + t);
            for (unsigned column = 0; column < 2; column++) {
                const Operands columns = of((lane % 4 * 2 + column) * 4 + t);
                for (unsigned i = 0; i < 4; i++)
                    for (unsigned which = 0; which < 2; which++)
                        c[i % 2 * 2 + column] += half(rows.a[i], which) * half(columns.b[i / 2], which);
            }
        }
        return 0;
    });
}

// ldmatrix: of matrix i, whose 8 rows of 16 bytes are where lanes 8 i to 8 i + 7 say, each lane gets two neighbours of a
// row; or of a column, when transposed.
inline void load_matrices(uint32_t (&to)[4], const void* row, bool transposed) {
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) fail("the row of a matrix is not aligned");
    const unsigned lane = here().thread.x % 32;
    exchange(row, [&](auto of) {
        for (unsigned i = 0; i < 4; i++) {
            uint16_t pair[2];
            for (unsigned which = 0; which < 2; which++) {
                const unsigned g = lane / 4, t = lane % 4 * 2 + which;
                const void* const from = of(8 * i + (transposed ? t : g));
                memcpy(&pair[which], static_cast<const char*>(from) + 2 * (transposed ? g : t), 2);
            }
            to[i] = pair[0] | uint32_t(pair[1]) << 16;
        }
        return 0;
    });
}

// cp.async of `count` words of four bytes: the copy happens as late as it may, when this thread waits for it; until then
// NaNs are there.
struct Copy {
    uint32_t* to;
    const uint32_t* from;
    size_t count;
    bool there;
};
// Those that this thread has yet to wait for.
std::vector<Copy>& copies();
inline void copy_later(void* to, const void* from, size_t bytes, bool there) {
    for (const void* const end : {static_cast<const void*>(to), from})
        if (reinterpret_cast<uintptr_t>(end) % bytes != 0) fail("a copy in the background is not aligned");
    const Copy copy{static_cast<uint32_t*>(to), static_cast<const uint32_t*>(from), bytes / 4, there};
    for (size_t i = 0; i < copy.count; i++) copy.to[i] = ~0u;
    copies().push_back(copy);
}
inline void wait_for_copies() {
    for (const Copy& copy : copies())
        for (size_t i = 0; i < copy.count; i++) copy.to[i] = copy.there ? copy.from[i] : 0;
    copies().clear();
}

}  // namespace emulation

#define threadIdx (emulation::here().thread)
#define blockIdx (emulation::here().block)
#define blockDim (emulation::here().block_size)
#define gridDim (emulation::here().grid)

inline void __syncthreads() { emulation::block_barrier(); }
inline void __syncwarp(unsigned = ~0u) { emulation::warp_barrier(); }

// All lanes take part: the kernels use no other mask.
template <typename V>
V __shfl_xor_sync(unsigned mask, V v, unsigned other) {
    if (mask != ~0u) emulation::fail("only whole warps exchange");
    const unsigned lane = threadIdx.x % 32;
    return emulation::exchange(v, [&](auto of) { return of(lane ^ other); });
}
template <typename V>
V __shfl_sync(unsigned mask, V v, unsigned from) {
    if (mask != ~0u) emulation::fail("only whole warps exchange");
    return emulation::exchange(v, [&](auto of) { return of(from % 32); });
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    if (mask != ~0u) emulation::fail("only whole warps exchange");
    return emulation::exchange(predicate, [&](auto of) {
        unsigned bits = 0;
        for (unsigned lane = 0; lane < 32; lane++) bits |= unsigned(of(lane) != 0) << lane;
        return bits;
    });
}

using std::max;
using std::min;
inline float rsqrtf(float v) { return 1.0f / sqrtf(v); }
inline float __expf(float v) { return expf(v); }
inline float __logf(float v) { return logf(v); }
template <typename V>
V __ldg(const V* from) { return *from; }
