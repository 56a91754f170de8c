// What the kernels of attention share: the place where a block works, and dropout's bits of a tile of probabilities.
#pragma once
#include "common.cuh"

// After the operands: the row offsets of each sequence's queries and keys, the heads' numbers, 1 / √head_size.
#define ATTENTION_PARAMETERS                                                                       \
    const unsigned *queries, const unsigned *keys, const unsigned *numbers, unsigned head_size, float factor, \
        DROPOUT_PARAMETERS
#define ATTENTION_ARGUMENTS queries, keys, numbers, head_size, factor, DROPOUT_ARGUMENTS
#define ATTENTION_PLACE attention::Place::here(queries, keys, numbers, DROPOUT)
// Which probabilities are kept, as the forward pass on tensor cores leaves it for the backward pass: (heads, words, rows),
// a bit for each of 32 keys of a query, so that the words of neighbouring queries are neighbours. None where nothing is
// dropped.
#define BITS_PARAMETERS(W) W *bits, unsigned bits_words, unsigned bits_rows
#define BITS_ARGUMENTS bits, bits_words, bits_rows

// Kernels for heads of up to 32, 64 and 128 columns, with so many blocks on a multiprocessor at least.
#define MMA_KERNELS(name, parameters, arguments, blocks32, blocks64, blocks128) \
    MMA_KERNEL(name, 32, parameters, arguments, blocks32)                       \
    MMA_KERNEL(name, 64, parameters, arguments, blocks64)                       \
    MMA_KERNEL(name, 128, parameters, arguments, blocks128)
#define MMA_KERNEL(name, D, parameters, arguments, blocks)                                                         \
    extern "C" __global__ void __launch_bounds__(attention::THREADS, blocks) name##_mma##D##_bf16(parameters(bf16)) { \
        name##_mma<D> arguments;                                                                                   \
    }                                                                                                              \
    REGISTER(name##_mma##D##_bf16)

namespace attention {

constexpr unsigned THREADS = 128;
constexpr unsigned WARPS = THREADS / WARP;
// Rows of queries, or of keys, that a block is responsible for.
constexpr unsigned OWN = 64;
// Rows of the other side at a time in the backward pass, and in all of it without tensor cores.
constexpr unsigned OTHER = 32;
constexpr float LOG2_E = 1.4426950408889634f;
constexpr float LN_2 = 0.6931471805599453f;

__device__ __forceinline__ float infinity() { return bits_to_float(0x7F800000u); }

// The head blockIdx.y of the sequence blockIdx.z.
struct Place {
    unsigned head, heads;
    // The sequence's first row and their number.
    size_t query_row, key_row;
    unsigned queries, keys;
    Dropout mask;

    static __device__ __forceinline__ Place here(const unsigned* queries, const unsigned* keys, const unsigned* numbers,
                                                 Dropout mask) {
        const unsigned sequence = blockIdx.z, head = blockIdx.y;
        mask.sequence = sequence;
        mask.site |= numbers[head] << 8;
        const unsigned query = queries[sequence], key = keys[sequence];
        return Place{head, gridDim.y, query, key, queries[sequence + 1] - query, keys[sequence + 1] - key, mask};
    }
    template <typename T>
    __device__ __forceinline__ T* at_query(T* rows, unsigned stride, unsigned head_size, unsigned query) const {
        return rows + (query_row + query) * stride + size_t(head) * head_size;
    }
    template <typename T>
    __device__ __forceinline__ T* at_key(T* rows, unsigned stride, unsigned head_size, unsigned key) const {
        return rows + (key_row + key) * stride + size_t(head) * head_size;
    }
    // Where a query's number is in (rows, heads).
    __device__ __forceinline__ size_t number_of(unsigned query) const { return (query_row + query) * heads + head; }
    // Where the bits of a query and of 32 keys, beginning with a multiple of 32, are in (heads, words, rows).
    __device__ __forceinline__ size_t bits_of(unsigned query, unsigned key, unsigned words, unsigned rows) const {
        return (size_t(head) * words + key / 32) * rows + query_row + query;
    }
};

// Which probabilities of a tile are kept, a bit each. A call of Philox decides 8 elements of a group of 128 neighbours,
// so half a warp draws the bits of a group together, and each group that the tile touches is drawn once. A tile that
// has all keys of its queries is one run of elements; otherwise each query has two groups of its own.
struct Kept {
    static constexpr unsigned GROUP = 128, GROUP_WORDS = GROUP / 32;
    // Elements that a tile with all keys may have so that MOST_WORDS are enough.
    static constexpr unsigned MOST_ELEMENTS = 64 * 512;
    static constexpr unsigned MOST_WORDS = (MOST_ELEMENTS / GROUP + 2) * GROUP_WORDS;
    // Words for tiles of at most 64 keys, for each query.
    static constexpr unsigned WORDS_PER_QUERY = 2 * GROUP_WORDS;

    uint32_t* words;
    // The sequence's keys, and where the tile begins.
    unsigned keys, query, key;
    bool whole;

    __device__ __forceinline__ unsigned position(unsigned at_query, unsigned at_key) const {
        // Only differences matter, which are right even where a product wraps.
        if (whole) return at_query * keys + at_key - query * keys / GROUP * GROUP;
        return (at_query - query) * 2 * GROUP + (at_query * keys + key) % GROUP + (at_key - key);
    }
    __device__ __forceinline__ bool at(unsigned at_query, unsigned at_key) const {
        const unsigned bit = position(at_query, at_key);
        return words[bit / 32] >> bit % 32 & 1;
    }
    // The bits of 32 keys, of which only those inside the tile mean anything.
    __device__ __forceinline__ uint32_t window(unsigned at_query, unsigned at_key) const {
        const unsigned bit = position(at_query, at_key);
        return uint32_t((uint64_t(words[bit / 32 + 1]) << 32 | words[bit / 32]) >> bit % 32);
    }

    // All threads of the block draw together; they may read once they have met. `width` keys of `rows` queries.
    __device__ __forceinline__ void draw(const Dropout& mask, unsigned rows, unsigned width) const {
        const unsigned lane = threadIdx.x % WARP;
        const size_t first = size_t(query) * keys;
        const unsigned jobs =
            whole ? unsigned((first + size_t(rows) * keys - 1) / GROUP - first / GROUP + 1) : 2 * rows;
        for (unsigned pair = threadIdx.x / WARP; 2 * pair < jobs; pair += WARPS) {
            const unsigned job = 2 * pair + lane / 16;
            bool needed = job < jobs;
            size_t group = first / GROUP + job;
            unsigned slot = job;
            if (!whole) {
                // First the groups where queries begin, then those into which some of them reach.
                const unsigned second = job >= rows ? 1 : 0, row = second ? job - rows : job;
                const size_t start = size_t(query + row) * keys + key;
                needed = needed && (!second || start % GROUP + width > GROUP);
                group = start / GROUP + second;
                slot = 2 * row + second;
            }
            if (__ballot_sync(ALL_LANES, needed) == 0) continue;
            const Philox block = dropout_block(mask, uint32_t(group * 16 + lane % 16));
            uint32_t halves[8];
            for (unsigned k = 0; k < 8; k++)
                halves[k] = __ballot_sync(ALL_LANES, pick(block, k, mask) != 0.0f) >> (lane & 16);
            if (needed && lane % 16 == 0)
                for (unsigned i = 0; i < GROUP_WORDS; i++)
                    words[slot * GROUP_WORDS + i] = (halves[2 * i] & 0xFFFFu) | halves[2 * i + 1] << 16;
        }
    }
};

}  // namespace attention
