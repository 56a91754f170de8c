// What the scheduler and the device are to each other.
#pragma once
#include "emulation.h"

namespace emulation {

struct Kernel {
    const char* name;
    void (*function)();
    Unpacked unpack;
    unsigned parameters;
};
// Runs all blocks, one after another.
void run(const Kernel& kernel, const unsigned* blocks, unsigned threads, unsigned shared, void** arguments);

}  // namespace emulation
