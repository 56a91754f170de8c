// Races between threads of a launch, found whatever order this execution has them in.
//
// The compiler's thread sanitizer (-fsanitize=thread) calls __tsan_read4 and the like before each access to memory; here
// these are the emulation's own. They know what orders accesses on a device, which is less than what the sanitizer's
// library assumes: a block's barrier its threads, a warp's barrier its lanes, an exchange between lanes nothing, and
// nothing at all the blocks.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emulation {

// When a thread does something: the number of its block among all that ever ran, and the barriers behind it.
struct Moment {
    uint32_t block;
    uint16_t thread, block_barriers, warp_barriers;
};
// Of the fiber that runs.
const Moment& now();
// The name of the kernel that runs.
const char* running();

// Blocks from this number on belong to the launch that begins.
void begin_launch(uint32_t first_block);

// Memory of exactly this size, full of NaNs, whose accesses are watched; null when there is none.
void* watched(size_t bytes);
void unwatch(void* memory);

}  // namespace emulation
