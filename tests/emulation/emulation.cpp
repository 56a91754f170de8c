// The scheduler of emulation.h, and what the tests call.
#include "emulation.h"

#include <ucontext.h>

#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {
namespace {

struct Kernel {
    void (*function)();
    Unpacked unpack;
    unsigned parameters;
};
std::map<std::string, Kernel>& kernels() {
    static std::map<std::string, Kernel> all;
    return all;
}

// Memory of exactly this size, full of NaNs.
void* filled(size_t bytes) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 256, bytes) != 0) return nullptr;
    return memset(memory, 0xFF, bytes);
}

constexpr size_t STACK = 256 * 1024;

enum class Waits { no, for_warp, for_block, ended };

struct Fiber {
    ucontext_t context;
    std::unique_ptr<unsigned char[]> stack;
    Coordinates coordinates;
    Waits waits;
    void* sanitizer = nullptr;
};

// The launch that runs: one at a time in each of the system's threads, of which every test has its own.
thread_local struct Launch {
    ucontext_t scheduler;
    void* scheduler_sanitizer = nullptr;
    void* scheduler_stack = nullptr;
    size_t scheduler_stack_size = 0;
    std::vector<Fiber> fibers;
    std::vector<unsigned char> slots;
    unsigned char* shared = nullptr;
    std::map<const void*, void*> arrays;
    Fiber* current = nullptr;
    const Kernel* kernel = nullptr;
    void** arguments = nullptr;
} launch;

// Orders what fibers did before a wait before what they do after it.
void tell_release(void* at) {
#if defined(__SANITIZE_THREAD__)
    __tsan_release(at);
#else
    (void)at;
#endif
}
void tell_acquire(void* at) {
#if defined(__SANITIZE_THREAD__)
    __tsan_acquire(at);
#else
    (void)at;
#endif
}

void to_scheduler(bool ends) {
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(launch.scheduler_sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(ends ? nullptr : &fake, launch.scheduler_stack, launch.scheduler_stack_size);
#endif
    (void)ends;
    swapcontext(&launch.current->context, &launch.scheduler);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void to_fiber(Fiber& fiber) {
    launch.current = &fiber;
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(fiber.sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, fiber.stack.get(), STACK);
#endif
    swapcontext(&launch.scheduler, &fiber.context);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void begin() {
#if defined(__SANITIZE_ADDRESS__)
    const void* bottom = nullptr;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &launch.scheduler_stack_size);
    launch.scheduler_stack = const_cast<void*>(bottom);
#endif
    tell_acquire(&launch);
    launch.kernel->unpack(launch.kernel->function, launch.arguments);
    tell_release(&launch);
    launch.current->waits = Waits::ended;
    to_scheduler(true);
}

unsigned warp_of(const Fiber& fiber) { return fiber.coordinates.thread.x / 32; }
void* sign_of_warp(unsigned warp) { return &launch.slots[size_t(warp) * 32 * SLOT]; }

// Lets go whoever waits for others that all wait, or have ended; whether anybody can run.
bool let_go() {
    bool runnable = false, block_waits = true;
    for (const Fiber& f : launch.fibers) {
        runnable |= f.waits == Waits::no;
        block_waits &= f.waits == Waits::for_block || f.waits == Waits::ended;
    }
    const size_t n = launch.fibers.size();
    for (size_t first = 0; first < n; first += 32) {
        const size_t last = std::min(first + 32, n);
        bool waits = true, any = false;
        for (size_t i = first; i < last; i++) {
            waits &= launch.fibers[i].waits == Waits::for_warp || launch.fibers[i].waits == Waits::ended;
            any |= launch.fibers[i].waits == Waits::for_warp;
        }
        for (size_t i = first; waits && any && i < last; i++)
            if (launch.fibers[i].waits == Waits::for_warp) launch.fibers[i].waits = Waits::no;
        runnable |= waits && any;
    }
    if (!runnable && block_waits) {
        for (Fiber& f : launch.fibers) {
            if (f.waits != Waits::for_block) continue;
            f.waits = Waits::no;
            runnable = true;
        }
    }
    return runnable;
}

void run_block() {
    for (Fiber& fiber : launch.fibers) {
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = nullptr;
        fiber.waits = Waits::no;
        makecontext(&fiber.context, begin, 0);
#if defined(__SANITIZE_THREAD__)
        fiber.sanitizer = __tsan_create_fiber(0);
#endif
    }
    while (let_go()) {
        for (Fiber& fiber : launch.fibers)
            if (fiber.waits == Waits::no) to_fiber(fiber);
    }
    for (Fiber& fiber : launch.fibers) {
        if (fiber.waits != Waits::ended) fail("threads wait for others at different places");
#if defined(__SANITIZE_THREAD__)
        __tsan_destroy_fiber(fiber.sanitizer);
#endif
    }
}

}  // namespace

const Coordinates& here() { return launch.current->coordinates; }
unsigned char* dynamic_shared() { return launch.shared; }
void* shared(const void* tag, size_t bytes) {
    void*& array = launch.arrays[tag];
    if (!array) array = filled(bytes);
    return array;
}
unsigned char* slot(unsigned lane) {
    return &launch.slots[(size_t(warp_of(*launch.current)) * 32 + lane) * SLOT];
}
bool lane_is_alive(unsigned lane) {
    const size_t fiber = size_t(warp_of(*launch.current)) * 32 + lane;
    return fiber < launch.fibers.size() && launch.fibers[fiber].waits != Waits::ended;
}

void block_barrier() {
    tell_release(&launch.slots);
    launch.current->waits = Waits::for_block;
    to_scheduler(false);
    tell_acquire(&launch.slots);
}
void warp_barrier() {
    void* const sign = sign_of_warp(warp_of(*launch.current));
    tell_release(sign);
    launch.current->waits = Waits::for_warp;
    to_scheduler(false);
    tell_acquire(sign);
}

void fail(const char* what) {
    fprintf(stderr, "emulated kernel: %s\n", what);
    abort();
}

void Registration::add(const char* name, void (*kernel)(), Unpacked unpack, unsigned parameters) {
    if (!kernels().emplace(name, Kernel{kernel, unpack, parameters}).second) fail(name);
}

}  // namespace emulation

extern "C" {

void* emulation_allocate(size_t bytes) { return emulation::filled(bytes); }
void emulation_free(void* memory) { free(memory); }
// Writes as the kernels' own do, so that the sanitizers see them.
void emulation_copy(void* to, const void* from, size_t bytes) { memcpy(to, from, bytes); }
void emulation_clear(void* at, size_t bytes) { memset(at, 0, bytes); }

// 0, or 1 when there is no such kernel, or 2 when it has another number of parameters.
int emulation_launch(const char* name, const unsigned* blocks, unsigned threads, unsigned shared, void** arguments,
                     unsigned count) {
    using namespace emulation;
    const auto found = kernels().find(name);
    if (found == kernels().end()) return 1;
    if (found->second.parameters != count) return 2;
    if (threads == 0 || threads > 1024 || shared > 227 * 1024) fail("no device has blocks that big");
    launch.kernel = &found->second;
    launch.arguments = arguments;
    launch.fibers = std::vector<Fiber>(threads);
    for (Fiber& fiber : launch.fibers) fiber.stack.reset(new unsigned char[STACK]);
    launch.slots.assign(size_t(threads + 31) / 32 * 32 * SLOT, 0);
#if defined(__SANITIZE_THREAD__)
    launch.scheduler_sanitizer = __tsan_get_current_fiber();
#endif
    tell_release(&launch);
    for (unsigned z = 0; z < blocks[2]; z++)
        for (unsigned y = 0; y < blocks[1]; y++)
            for (unsigned x = 0; x < blocks[0]; x++) {
                launch.shared = shared ? static_cast<unsigned char*>(filled(shared)) : nullptr;
                for (unsigned thread = 0; thread < threads; thread++)
                    launch.fibers[thread].coordinates = {{blocks[0], blocks[1], blocks[2]}, {x, y, z},
                                                         {threads, 1, 1}, {thread, 0, 0}};
                run_block();
                free(launch.shared);
                for (const auto& array : launch.arrays) free(array.second);
                launch.arrays.clear();
            }
    tell_acquire(&launch);
    launch.fibers.clear();
    return 0;
}

}
