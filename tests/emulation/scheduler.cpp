// The scheduler of emulation.h: runs the threads of a block as fibers.
#include "scheduler.h"

#include <ucontext.h>

#include <csetjmp>
#include <cstdio>
#include <map>
#include <memory>
#include <vector>

#include "races.h"
#include "sanitizers.h"

namespace emulation {
namespace {

constexpr size_t STACK = 256 * 1024;
// Bytes of shared memory that a block may have: in arrays of fixed size, and with what is asked for at the launch.
constexpr size_t MOST_FIXED = 48 * 1024, MOST_SHARED = 227 * 1024;

enum class Waits { no, for_warp, for_block, ended };

// Where something goes on, on a stack of its own. swapcontext asks the system for the signals' mask at each switch, which
// takes longer than most threads compute between two barriers: it begins fibers, and _setjmp and _longjmp change them,
// but for the address sanitizer, which takes a jump for one within a stack.
struct Place {
    ucontext_t context;
    jmp_buf jump;
    bool jumps = false;
};

void change(Place& from, Place& to) {
#if defined(SANITIZE_address)
    swapcontext(&from.context, &to.context);
#else
    if (_setjmp(from.jump)) return;
    from.jumps = true;
    if (to.jumps) _longjmp(to.jump, 1);
    setcontext(&to.context);
#endif
}

struct Fiber {
    Coordinates coordinates;
    Waits waits;
    unsigned exchanges;
    Moment moment;
    std::vector<Copy> copies;
};

// What a lane gives in an exchange, and which of its exchanges that is.
struct Slot {
    uint64_t words[SLOT];
    unsigned exchange;
};

// The launch that runs: one at a time in each of the system's threads, of which every test has its own.
struct Launch {
    Place scheduler;
    const void* scheduler_stack = nullptr;
    size_t scheduler_stack_size = 0;
    std::vector<Fiber> fibers;
    // Of each fiber, whatever it runs.
    std::vector<std::unique_ptr<Place>> places;
    std::vector<std::unique_ptr<unsigned char[]>> stacks;
    std::vector<Slot> slots;
    unsigned char* shared = nullptr;
    size_t shared_bytes = 0, fixed_bytes = 0;
    std::map<const void*, void*> arrays;
    Fiber* current = nullptr;
    const Kernel* kernel = nullptr;
    void** arguments = nullptr;
    // No block has the number 0.
    uint32_t next_block = 1;
};
// A pointer, so that little is asked of what the system has for the quick kind of a thread's own memory.
__attribute__((tls_model("initial-exec"))) thread_local Launch* launch = nullptr;

size_t index_of(const Fiber& fiber) { return size_t(&fiber - launch->fibers.data()); }

void to_scheduler() {
    tell_next_stack(launch->scheduler_stack, launch->scheduler_stack_size);
    change(*launch->places[index_of(*launch->current)], launch->scheduler);
    tell_switched(nullptr, nullptr);
}

void to_fiber(Fiber& fiber) {
    launch->current = &fiber;
    tell_next_stack(launch->stacks[index_of(fiber)].get(), STACK);
    change(launch->scheduler, *launch->places[index_of(fiber)]);
    tell_switched(nullptr, nullptr);
}

// What a fiber does: its thread of one block after another.
void begin() {
    tell_switched(&launch->scheduler_stack, &launch->scheduler_stack_size);
    for (;;) {
        launch->kernel->unpack(launch->kernel->function, launch->arguments);
        launch->current->waits = Waits::ended;
        to_scheduler();
    }
}

void add_fiber() {
    launch->stacks.emplace_back(new unsigned char[STACK]);
    launch->places.emplace_back(new Place);
    ucontext_t& context = launch->places.back()->context;
    getcontext(&context);
    context.uc_stack.ss_sp = launch->stacks.back().get();
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, begin, 0);
}

unsigned warp_of(const Fiber& fiber) { return fiber.coordinates.thread.x / 32; }

// Lets go whoever waits for others that all wait, or have ended; whether anybody can run.
bool let_go() {
    bool runnable = false, block_waits = true;
    for (const Fiber& f : launch->fibers) {
        runnable |= f.waits == Waits::no;
        block_waits &= f.waits == Waits::for_block || f.waits == Waits::ended;
    }
    const size_t n = launch->fibers.size();
    for (size_t first = 0; first < n; first += 32) {
        const size_t last = std::min(first + 32, n);
        bool waits = true, any = false;
        for (size_t i = first; i < last; i++) {
            waits &= launch->fibers[i].waits == Waits::for_warp || launch->fibers[i].waits == Waits::ended;
            any |= launch->fibers[i].waits == Waits::for_warp;
        }
        for (size_t i = first; waits && any && i < last; i++)
            if (launch->fibers[i].waits == Waits::for_warp) launch->fibers[i].waits = Waits::no;
        runnable |= waits && any;
    }
    if (!runnable && block_waits) {
        for (Fiber& f : launch->fibers) {
            if (f.waits != Waits::for_block) continue;
            f.waits = Waits::no;
            runnable = true;
        }
    }
    return runnable;
}

void run_block(uint32_t number, unsigned shared) {
    for (Slot& slot : launch->slots) slot.exchange = 0;
    launch->shared = shared ? static_cast<unsigned char*>(watched(shared)) : nullptr;
    launch->shared_bytes = shared;
    launch->fixed_bytes = 0;
    for (Fiber& fiber : launch->fibers) {
        fiber.waits = Waits::no;
        fiber.exchanges = 0;
        fiber.copies.clear();
        fiber.moment = {number, uint16_t(index_of(fiber)), 0, 0};
    }
    while (let_go()) {
        for (Fiber& fiber : launch->fibers)
            if (fiber.waits == Waits::no) to_fiber(fiber);
    }
    for (Fiber& fiber : launch->fibers)
        if (fiber.waits != Waits::ended) fail("threads wait for others at different places");
    unwatch(launch->shared);
    for (const auto& array : launch->arrays) unwatch(array.second);
    launch->arrays.clear();
}

}  // namespace

const Coordinates& here() { return launch->current->coordinates; }
unsigned char* dynamic_shared() { return launch->shared; }
void* shared(const void* tag, size_t bytes) {
    void*& array = launch->arrays[tag];
    if (array) return array;
    launch->fixed_bytes += bytes;
    launch->shared_bytes += bytes;
    if (launch->fixed_bytes > MOST_FIXED || launch->shared_bytes > MOST_SHARED)
        fail("no device has that much shared memory");
    return array = watched(bytes);
}
std::vector<Copy>& copies() { return launch->current->copies; }
const Moment& now() { return launch->current->moment; }

void block_barrier() {
    launch->current->waits = Waits::for_block;
    to_scheduler();
    launch->current->moment.block_barriers++;
}
void warp_barrier() {
    launch->current->waits = Waits::for_warp;
    to_scheduler();
    launch->current->moment.warp_barriers++;
}

void give(const uint64_t* words, size_t count) {
    Fiber& fiber = *launch->current;
    // Two slots a lane: who is on its way to the next exchange leaves this one's to those that have yet to read it.
    Slot& slot = launch->slots[index_of(fiber) * 2 + ++fiber.exchanges % 2];
    slot.exchange = fiber.exchanges;
    for (size_t i = 0; i < count; i++) slot.words[i] = words[i];
    fiber.waits = Waits::for_warp;
    to_scheduler();
}
void take(unsigned lane, uint64_t* words, size_t count) {
    const unsigned exchange = launch->current->exchanges;
    const size_t fiber = size_t(warp_of(*launch->current)) * 32 + lane;
    if (fiber >= launch->fibers.size() || launch->slots[fiber * 2 + exchange % 2].exchange != exchange)
        fail("a lane reads from one that takes no part");
    for (size_t i = 0; i < count; i++) words[i] = launch->slots[fiber * 2 + exchange % 2].words[i];
}

void run(const Kernel& kernel, const unsigned* blocks, unsigned threads, unsigned shared, void** arguments) {
    if (threads == 0 || threads > 1024 || shared > MOST_SHARED) fail("no device has blocks that big");
    if (blocks[1] > 65535 || blocks[2] > 65535) fail("no device has grids that big");
    static thread_local const auto own = std::make_unique<Launch>();
    launch = own.get();
    launch->kernel = &kernel;
    launch->arguments = arguments;
    launch->fibers = std::vector<Fiber>(threads);
    while (launch->places.size() < threads) add_fiber();
    launch->slots.resize(size_t(threads) * 2);
    begin_launch(launch->next_block);
    for (unsigned z = 0; z < blocks[2]; z++)
        for (unsigned y = 0; y < blocks[1]; y++)
            for (unsigned x = 0; x < blocks[0]; x++) {
                for (unsigned thread = 0; thread < threads; thread++)
                    launch->fibers[thread].coordinates = {{blocks[0], blocks[1], blocks[2]}, {x, y, z},
                                                         {threads, 1, 1}, {thread, 0, 0}};
                run_block(launch->next_block++, shared);
            }
}

const char* running() { return launch->kernel->name; }

void fail(const char* what) {
    fprintf(stderr, "emulated kernel: %s\n", what);
    abort();
}

}  // namespace emulation
