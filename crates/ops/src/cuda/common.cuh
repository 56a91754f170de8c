// What several kernels need: the two formats of activations, reductions in a fixed order, random numbers.
//
// Under nvcc these are CUDA's own; where EMULATION is defined the host's compiler sees tests/emulation/emulation.h.
#pragma once

#ifndef EMULATION
#include <cuda_bf16.h>
#include <cstddef>
#include <cstdint>
#define REGISTER(name)
// Of the loop that follows: all of it, as where it indexes an array that shall be registers, or so many rounds at once.
#define UNROLL _Pragma("unroll")
#define UNROLL_BY(count) UNROLL_PRAGMA(unroll count)
#define UNROLL_PRAGMA(text) _Pragma(#text)
// A shared array.
#define SHARED(type, name, count) __shared__ type name[count]
// Dynamic shared memory, aligned for vector loads.
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#endif

// The kernels `name_f32` and `name_bf16` of the template `name`; those with bounds, as of __launch_bounds__, have no more
// registers than these allow.
#define KERNEL(name, parameters, arguments)                                              \
    extern "C" __global__ void name##_f32(parameters(float)) { name<float> arguments; }  \
    extern "C" __global__ void name##_bf16(parameters(bf16)) { name<bf16> arguments; }   \
    REGISTER(name##_f32)                                                                 \
    REGISTER(name##_bf16)
#define KERNEL_WITHIN(bounds, name, parameters, arguments)                                                    \
    extern "C" __global__ void __launch_bounds__ bounds name##_f32(parameters(float)) { name<float> arguments; } \
    extern "C" __global__ void __launch_bounds__ bounds name##_bf16(parameters(bf16)) { name<bf16> arguments; }  \
    REGISTER(name##_f32)                                                                                      \
    REGISTER(name##_bf16)

constexpr unsigned ROWS_PER_PART = 16;  // as in sums.rs
constexpr unsigned WARP = 32;
constexpr unsigned ALL_LANES = 0xFFFFFFFFu;

struct alignas(2) bf16 {
    uint16_t bits;
};
struct alignas(8) bf16x4 {
    uint16_t bits[4];
};
struct alignas(16) floatx4 {
    float values[4];
};

__device__ __forceinline__ float bits_to_float(uint32_t bits) {
#ifdef EMULATION
    float value;
    memcpy(&value, &bits, 4);
    return value;
#else
    return __uint_as_float(bits);
#endif
}

__device__ __forceinline__ uint16_t float_to_bf16_bits(float value) {
#ifdef EMULATION
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (value != value) return uint16_t(bits >> 16 | 0x40);
    // To the nearest, ties to even.
    return uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
#else
    return __bfloat16_as_ushort(__float2bfloat16_rn(value));
#endif
}

// Two neighbours as bf16, in one instruction.
__device__ __forceinline__ uint32_t pack(float low, float high) {
#ifdef EMULATION
    return float_to_bf16_bits(low) | uint32_t(float_to_bf16_bits(high)) << 16;
#else
    uint32_t both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
#endif
}

// 2^v in one instruction; 0 of minus infinity.
__device__ __forceinline__ float power_of_two(float v) {
#ifdef EMULATION
    return exp2f(v);
#else
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(v));
    return power;
#endif
}

// 1 / v in one instruction, of a v that is no denormal number.
__device__ __forceinline__ float reciprocal(float v) {
#ifdef EMULATION
    return 1.0f / v;
#else
    float of;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(of) : "f"(v));
    return of;
#endif
}

__device__ __forceinline__ float to_float(float v) { return v; }
__device__ __forceinline__ float to_float(bf16 v) { return bits_to_float(uint32_t(v.bits) << 16); }

template <typename T>
__device__ __forceinline__ T from_float(float v);
template <>
__device__ __forceinline__ float from_float<float>(float v) { return v; }
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float v) { return bf16{float_to_bf16_bits(v)}; }

// Four neighbours at once; the address must be a multiple of four elements.
__device__ __forceinline__ void load4(const float* from, float (&to)[4]) {
    const floatx4 v = *reinterpret_cast<const floatx4*>(from);
    for (int i = 0; i < 4; i++) to[i] = v.values[i];
}
__device__ __forceinline__ void load4(const bf16* from, float (&to)[4]) {
    const bf16x4 v = *reinterpret_cast<const bf16x4*>(from);
    for (int i = 0; i < 4; i++) to[i] = bits_to_float(uint32_t(v.bits[i]) << 16);
}
__device__ __forceinline__ void store4(float* to, const float (&from)[4]) {
    floatx4 v;
    for (int i = 0; i < 4; i++) v.values[i] = from[i];
    *reinterpret_cast<floatx4*>(to) = v;
}
__device__ __forceinline__ void store4(bf16* to, const float (&from)[4]) {
    bf16x4 v;
    for (int i = 0; i < 4; i++) v.bits[i] = float_to_bf16_bits(from[i]);
    *reinterpret_cast<bf16x4*>(to) = v;
}

// The same sum, or maximum, in all lanes of a warp.
template <typename V>
__device__ __forceinline__ V warp_sum(V v) {
    for (unsigned other = WARP / 2; other > 0; other /= 2) v += __shfl_xor_sync(ALL_LANES, v, other);
    return v;
}
__device__ __forceinline__ float warp_max(float v) {
    for (unsigned other = WARP / 2; other > 0; other /= 2) v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, other));
    return v;
}

// The same sum in all threads of a block of at most 1024, a multiple of 32. Two calls may follow each other.
template <typename V>
__device__ __forceinline__ V block_sum(V v) {
    SHARED(V, of_warps, 32);
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    v = warp_sum(v);
    __syncthreads();
    if (lane == 0) of_warps[warp] = v;
    __syncthreads();
    v = lane < blockDim.x / WARP ? of_warps[lane] : V(0);
    return warp_sum(v);
}

// Philox 4x32-10 (Salmon et al. 2011), as in ../rng.rs.
struct Philox {
    uint32_t words[4];
};
__device__ __forceinline__ Philox philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint64_t seed) {
    uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = uint64_t(0xD2511F53u) * c0, p1 = uint64_t(0xCD9E8D57u) * c2;
        const uint32_t n0 = uint32_t(p1 >> 32) ^ c1 ^ key0, n2 = uint32_t(p0 >> 32) ^ c3 ^ key1;
        c1 = uint32_t(p1);
        c3 = uint32_t(p0);
        c0 = n0;
        c2 = n2;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return Philox{{c0, c1, c2, c3}};
}

// One site's mask, as ../dropout.rs: element i is half `k % 2` of word `k / 2` of counter `16 · (i / 128) + i % 16`,
// with k = i % 128 / 16. A threshold of 0 drops nothing.
struct Dropout {
    uint64_t seed;
    uint32_t sequence, site, step;
    uint32_t threshold;
    float scale;
};
__device__ __forceinline__ float pick(const Philox& block, unsigned k, const Dropout& mask) {
    const uint32_t word = block.words[k / 2];
    const uint32_t bits = (k % 2 ? word >> 16 : word) & 0xFFFFu;
    return bits < mask.threshold ? 0.0f : mask.scale;
}
__device__ __forceinline__ Philox dropout_block(const Dropout& mask, uint32_t counter) {
    return philox(counter, mask.sequence, mask.site, mask.step, mask.seed);
}
__device__ __forceinline__ float multiplier(const Dropout& mask, size_t element) {
    const uint32_t counter = uint32_t(element / 128 * 16 + element % 16);
    return pick(dropout_block(mask, counter), unsigned(element % 128 / 16), mask);
}

// What dropout.rs passes.
#define DROPOUT_PARAMETERS uint64_t seed, uint32_t sequence, uint32_t site, uint32_t step, uint32_t threshold, float scale
#define DROPOUT_ARGUMENTS seed, sequence, site, step, threshold, scale
#define DROPOUT Dropout{seed, sequence, site, step, threshold, scale}
