// What the tests call: the device's memory, and launches by the kernels' names.
#include <map>
#include <string>

#include "races.h"
#include "scheduler.h"

namespace emulation {
namespace {

std::map<std::string, Kernel>& kernels() {
    static std::map<std::string, Kernel> all;
    return all;
}

}  // namespace

void Registration::add(const char* name, void (*kernel)(), Unpacked unpack, unsigned parameters) {
    if (!kernels().emplace(name, Kernel{name, kernel, unpack, parameters}).second) fail(name);
}

}  // namespace emulation

extern "C" {

void* emulation_allocate(size_t bytes) { return emulation::watched(bytes); }
void emulation_free(void* memory) { emulation::unwatch(memory); }
// The address sanitizer sees these, as what they call is its own.
void emulation_copy(void* to, const void* from, size_t bytes) { memcpy(to, from, bytes); }
void emulation_clear(void* at, size_t bytes) { memset(at, 0, bytes); }

// How many parameters a kernel has; -1 when there is no such kernel.
int emulation_parameters(const char* name) {
    const auto found = emulation::kernels().find(name);
    return found == emulation::kernels().end() ? -1 : int(found->second.parameters);
}

// 0, or 1 when there is no such kernel, or 2 when it has another number of parameters.
int emulation_launch(const char* name, const unsigned* blocks, unsigned threads, unsigned shared, void** arguments,
                     unsigned count) {
    const auto found = emulation::kernels().find(name);
    if (found == emulation::kernels().end()) return 1;
    if (found->second.parameters != count) return 2;
    emulation::run(found->second, blocks, threads, shared, arguments);
    return 0;
}

}
