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
