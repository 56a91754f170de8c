#include "races.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "emulation.h"

namespace emulation {
namespace {

// Accesses to two bytes, the least that kernels write at once; those before this launch count no more. Of the reads those
// are kept that tell whether a later write by any thread comes after all of them: blocks run one after another, and the
// threads of a block pass each barrier together.
struct Cell {
    Moment write;
    Moment read, by_other_lane, by_other_warp, by_other_block;
};
constexpr size_t CELL = 2;

struct Memory {
    uintptr_t first;
    size_t bytes;
    // Of calloc, so that what is never touched costs nothing.
    Cell* cells;
};
// Whatever a thread of the system launches works in memory that it allocated.
thread_local std::map<uintptr_t, Memory> memories;
// Where the last accesses were.
constexpr size_t RECENT = 8;
thread_local Memory recent[RECENT];
thread_local size_t next_recent;
thread_local uint32_t first_block = 1;

const Memory* memory_of(uintptr_t address) {
    for (const Memory& memory : recent)
        if (address - memory.first < memory.bytes) return &memory;
    const auto after = memories.upper_bound(address);
    if (after == memories.begin()) return nullptr;
    const Memory& memory = std::prev(after)->second;
    if (address - memory.first >= memory.bytes) return nullptr;
    Memory& place = recent[next_recent++ % RECENT];
    place = memory;
    return &place;
}

bool of_this_launch(const Moment& m) { return m.block >= first_block; }
bool same_thread(const Moment& a, const Moment& b) { return a.block == b.block && a.thread == b.thread; }
bool same_warp(const Moment& a, const Moment& b) { return a.block == b.block && a.thread / 32 == b.thread / 32; }

// Whether nothing orders the one before the other.
bool race(const Moment& before, const Moment& after) {
    if (!of_this_launch(before) || same_thread(before, after)) return false;
    if (before.block != after.block) return true;
    if (before.block_barriers < after.block_barriers) return false;
    return !same_warp(before, after) || before.warp_barriers >= after.warp_barriers;
}

// For addr2line: where the later access stands in the library of the kernels.
[[noreturn]] void report(const Moment& before, const char* did, const Moment& after, const char* does, size_t offset,
                         const void* place) {
    fprintf(stderr, "emulated kernel: data race in %s: thread %u of block %u %s byte %zu of some memory, ", running(),
            unsigned(before.thread), before.block - first_block, did, offset);
    fprintf(stderr, "thread %u of block %u %s it\n", unsigned(after.thread), after.block - first_block, does);
    Dl_info library;
    if (dladdr(place, &library))
        fprintf(stderr, "  at %s+0x%zx\n", library.dli_fname,
                size_t(static_cast<const char*>(place) - static_cast<const char*>(library.dli_fbase)));
    abort();
}

void remember_read(Cell& cell, const Moment& m) {
    const Moment last = cell.read;
    cell.read = m;
    if (!of_this_launch(last) || same_thread(last, m)) return;
    if (last.block != m.block) {
        cell.by_other_block = last;
        cell.by_other_lane = cell.by_other_warp = Moment{};
    } else if (same_warp(last, m)) {
        cell.by_other_lane = last;
    } else {
        cell.by_other_warp = last;
        cell.by_other_lane = Moment{};
    }
}

void access(const void* at, size_t bytes, bool writes, const void* place) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(at);
    const Memory* const memory = memory_of(address);
    if (!memory) return;
    const Moment m = now();
    const size_t begin = address - memory->first;
    const size_t end = std::min(begin + bytes, memory->bytes);
    for (size_t i = begin / CELL; i * CELL < end; i++) {
        Cell& cell = memory->cells[i];
        const char* const does = writes ? "writes" : "reads";
        if (race(cell.write, m)) report(cell.write, "wrote", m, does, i * CELL, place);
        if (!writes) {
            remember_read(cell, m);
            continue;
        }
        for (const Moment& read : {cell.read, cell.by_other_lane, cell.by_other_warp, cell.by_other_block})
            if (race(read, m)) report(read, "read", m, does, i * CELL, place);
        cell = Cell{m, {}, {}, {}, {}};
    }
}

}  // namespace

void accessed(const void* at, size_t bytes, bool writes) {
    access(at, bytes, writes, __builtin_return_address(0));
}

void begin_launch(uint32_t block) { first_block = block; }

void* watched(size_t bytes) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 256, bytes) != 0) return nullptr;
    memset(memory, 0xFF, bytes);
#if defined(SANITIZE_thread)
    const uintptr_t first = reinterpret_cast<uintptr_t>(memory);
    Cell* const cells = static_cast<Cell*>(calloc(bytes / CELL + 1, sizeof(Cell)));
    if (!cells) fail("no memory to watch memory with");
    memories[first] = Memory{first, bytes, cells};
#endif
    return memory;
}

void unwatch(void* memory) {
    const auto found = memories.find(reinterpret_cast<uintptr_t>(memory));
    if (found != memories.end()) {
        free(found->second.cells);
        memories.erase(found);
        for (Memory& place : recent) place = Memory{};
    }
    free(memory);
}

}  // namespace emulation

// What the compiler calls.
#define ACCESS(name, bytes, writes) \
    void __tsan_##name(void* at) { emulation::access(at, bytes, writes, __builtin_return_address(0)); }
#define ACCESSES(bytes)                          \
    ACCESS(read##bytes, bytes, false)            \
    ACCESS(write##bytes, bytes, true)            \
    ACCESS(read_write##bytes, bytes, true)       \
    ACCESS(unaligned_read##bytes, bytes, false)  \
    ACCESS(unaligned_write##bytes, bytes, true)  \
    ACCESS(unaligned_read_write##bytes, bytes, true)
extern "C" {
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
void __tsan_read_range(void* at, size_t bytes) { emulation::access(at, bytes, false, __builtin_return_address(0)); }
void __tsan_write_range(void* at, size_t bytes) { emulation::access(at, bytes, true, __builtin_return_address(0)); }
void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
    emulation::access(from, bytes, false, __builtin_return_address(0));
    emulation::access(to, bytes, true, __builtin_return_address(0));
    return memcpy(to, from, bytes);
}
void* __tsan_memset(void* at, int value, size_t bytes) {
    emulation::access(at, bytes, true, __builtin_return_address(0));
    return memset(at, value, bytes);
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
