// NVIDIA's driver as far as crates/ops/src/cuda/driver asks for it, on the emulation: memory is the host's, kernels run in
// emulation.h. What a stream is given, kernels and products too, is done as late as it may: when somebody waits for it.
// A copy ends the process when its source on the host has been changed since it was asked for, and memory of either side
// that is given back too early does; where the device will write on the host there are no numbers before. Arguments are
// checked.
//
// Settings make it another machine: EMULATED_CUDA_VERSION, _DEVICES, _CAPABILITY, _POOLS (2: told of, and then refused),
// _FAILS (the code of the next wait), _INIT, _RETAIN and _HOST (those of what begins, takes the device and allocates on the
// host), and _REDUCED: whether the shared memory that a kernel may have without asking is told without what is of fixed size.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "image.h"

namespace {

enum Code {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    NOT_SUPPORTED = 801,
};

constexpr size_t MEMORY = size_t(1) << 30;
constexpr int OWN_DEVICES = 1, SHARED_LIMIT = 48 * 1024;

int setting(const char* name, int otherwise) {
    const char* const value = getenv((std::string("EMULATED_CUDA_") + name).c_str());
    return value ? atoi(value) : otherwise;
}

// Bytes of shared memory that a block may have when it is asked for.
int most_shared() {
    const int capability = setting("CAPABILITY", 90);
    return (capability == 80 || capability == 87 ? 163 : capability < 90 ? 99 : 227) * 1024;
}

using Allocate = void* (*)(size_t);
using Free = void (*)(void*);
using Launch = int (*)(const char*, const unsigned*, unsigned, unsigned, void**, unsigned);
using Parameters = int (*)(const char*);

// Memory of the host, and copies to or from it that are still to be done.
struct HostBlock {
    size_t bytes;
    int users = 0;
};

// What all streams share. The mutex guards the blocks; streams belong to one thread each.
struct State {
    std::mutex mutex;
    Allocate allocate = ::malloc;
    Free free = ::free;
    Launch launch = nullptr;
    Parameters parameters = nullptr;
    std::map<uint64_t, size_t> blocks;
    std::map<uint64_t, HostBlock> host;
    std::map<std::string, int> static_shared;
    size_t taken = 0;
    int fails = setting("FAILS", 0);
};
State& state() {
    static State the_state;
    return the_state;
}
using Lock = std::lock_guard<std::mutex>;

struct Stream {
    std::deque<std::function<void()>> work;
};
struct Event {
    Stream* stream = nullptr;
    bool done = true;
};
struct Function {
    Function(const char* its_name, int count, int of_fixed_size)
        : name(its_name), parameters(count), fixed(of_fixed_size), dynamic(SHARED_LIMIT - of_fixed_size) {}
    std::string name;
    int parameters;
    // Bytes of shared memory: of fixed size, and those that may be asked for at a launch.
    int fixed;
    std::atomic<int> dynamic;
};

int context;
thread_local void* current = nullptr;

bool on_device(uint64_t at, size_t bytes) {
    const Lock lock(state().mutex);
    const auto next = state().blocks.upper_bound(at);
    if (next == state().blocks.begin()) return false;
    const auto block = std::prev(next);
    return at + bytes <= block->first + block->second;
}

[[noreturn]] void fail(const char* what) {
    fprintf(stderr, "emulated driver: %s\n", what);
    abort();
}

int add(Stream* stream, bool valid, std::function<void()> work) {
    if (!current) return INVALID_CONTEXT;
    if (!stream || !valid) return INVALID_VALUE;
    stream->work.push_back(std::move(work));
    return SUCCESS;
}

void step(Stream& stream) {
    const std::function<void()> next = std::move(stream.work.front());
    stream.work.pop_front();
    next();
}
// Everything that the stream was given.
void finish(void* stream) {
    while (!static_cast<Stream*>(stream)->work.empty()) step(*static_cast<Stream*>(stream));
}

// Work on memory of the device, which has to be there until it is done.
struct Range {
    uint64_t at;
    size_t bytes;
};
int add(void* stream, std::vector<Range> ranges, std::function<void()> work) {
    const auto valid = [ranges = std::move(ranges)] {
        for (const Range& range : ranges)
            if (!on_device(range.at, range.bytes)) return false;
        return true;
    };
    return add(static_cast<Stream*>(stream), valid(), [valid, work = std::move(work)] {
        if (!valid()) fail("memory of the device was given back before its use");
        work();
    });
}

// The block of the host's memory that has this address, counted as used so often more; other memory is not watched.
void use(const void* memory, int more) {
    const Lock lock(state().mutex);
    const uint64_t at = reinterpret_cast<uint64_t>(memory);
    const auto next = state().host.upper_bound(at);
    if (next == state().host.begin()) return;
    auto& [begin, block] = *std::prev(next);
    if (at < begin + block.bytes) block.users += more;
}

// Of FNV.
uint64_t digest(const void* memory, size_t bytes) {
    uint64_t sum = 0xCBF29CE484222325u;
    for (size_t i = 0; i < bytes; i++) sum = (sum ^ static_cast<const unsigned char*>(memory)[i]) * 0x100000001B3u;
    return sum;
}

int take(uint64_t* address, size_t bytes) {
    const Lock lock(state().mutex);
    if (!current) return INVALID_CONTEXT;
    if (bytes == 0) return INVALID_VALUE;
    if (bytes > MEMORY - state().taken) return OUT_OF_MEMORY;
    *address = reinterpret_cast<uint64_t>(state().allocate(bytes));
    state().blocks[*address] = bytes;
    state().taken += bytes;
    return SUCCESS;
}

int give_back(uint64_t address) {
    const Lock lock(state().mutex);
    const auto block = state().blocks.find(address);
    if (block == state().blocks.end()) return INVALID_VALUE;
    state().taken -= block->second;
    state().blocks.erase(block);
    state().free(reinterpret_cast<void*>(address));
    return SUCCESS;
}

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

}  // namespace

extern "C" {

// The emulation's own functions.
void emulated_cuda_uses(Allocate allocate, Free free, Launch launch, Parameters parameters) {
    state().parameters = parameters;
    state().allocate = allocate;
    state().free = free;
    state().launch = launch;
}

// For products.
int emulated_cuda_add(void* stream, const uint64_t (*ranges)[2], int count, void (*work)(void*), void* with) {
    std::vector<Range> all;
    for (int i = 0; i < count; i++) all.push_back({ranges[i][0], size_t(ranges[i][1])});
    return add(stream, all, [=] { work(with); });
}

int cuDriverGetVersion(int* version) { return *version = setting("VERSION", 13000), SUCCESS; }
int cuInit(unsigned) {
    if (const int code = setting("INIT", SUCCESS)) return code;
    return setting("DEVICES", OWN_DEVICES) > 0 ? SUCCESS : NO_DEVICE;
}
int cuDeviceGetCount(int* count) { return *count = setting("DEVICES", OWN_DEVICES), SUCCESS; }
int cuDeviceGet(int* device, int ordinal) {
    if (ordinal < 0 || ordinal >= setting("DEVICES", OWN_DEVICES)) return INVALID_DEVICE;
    return *device = ordinal, SUCCESS;
}
int cuDeviceGetName(char* name, int room, int) { return snprintf(name, room, "Emulated GPU"), SUCCESS; }
int cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = MEMORY, SUCCESS; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    const int capability = setting("CAPABILITY", 90);
    switch (attribute) {
        case 75: return *value = capability / 10, SUCCESS;
        case 76: return *value = capability % 10, SUCCESS;
        case 115: return *value = setting("POOLS", 1) > 0, SUCCESS;
        default: return INVALID_VALUE;
    }
}
int cuDevicePrimaryCtxRetain(void** out, int) { return *out = &context, setting("RETAIN", SUCCESS); }
int cuCtxSetCurrent(void* wanted) {
    if (wanted != &context) return INVALID_CONTEXT;
    return current = wanted, SUCCESS;
}

int cuGetErrorName(int code, const char** text) {
    switch (code) {
        case INVALID_VALUE: return *text = "CUDA_ERROR_INVALID_VALUE", SUCCESS;
        case OUT_OF_MEMORY: return *text = "CUDA_ERROR_OUT_OF_MEMORY", SUCCESS;
        case NO_DEVICE: return *text = "CUDA_ERROR_NO_DEVICE", SUCCESS;
        case ILLEGAL_ADDRESS: return *text = "CUDA_ERROR_ILLEGAL_ADDRESS", SUCCESS;
        default: return *text = nullptr, INVALID_VALUE;
    }
}
int cuGetErrorString(int code, const char** text) {
    if (code != ILLEGAL_ADDRESS) return *text = nullptr, INVALID_VALUE;
    return *text = "an illegal memory access was encountered", SUCCESS;
}

int cuStreamCreate(void** stream, unsigned flags) {
    if (!current) return INVALID_CONTEXT;
    if (flags != 1) return INVALID_VALUE;
    return *stream = new Stream, SUCCESS;
}
int cuStreamSynchronize(void* stream) {
    if (!current) return INVALID_CONTEXT;
    if (state().fails) return state().fails;
    return finish(stream), SUCCESS;
}
int cuStreamDestroy_v2(void* stream) {
    finish(stream);
    return delete static_cast<Stream*>(stream), SUCCESS;
}

int cuDeviceGetDefaultMemPool(void** pool, int) { return *pool = &context, SUCCESS; }
int cuMemPoolSetAttribute(void* pool, int attribute, void* value) {
    const bool valid = pool == &context && attribute == 4 && *static_cast<uint64_t*>(value) == UINT64_MAX;
    return valid ? SUCCESS : INVALID_VALUE;
}
int cuMemPoolTrimTo(void* pool, size_t) { return pool == &context ? SUCCESS : INVALID_VALUE; }
int cuMemAllocAsync(uint64_t* address, size_t bytes, void* stream) {
    if (setting("POOLS", 1) == 2) return NOT_SUPPORTED;
    if (!stream || !setting("POOLS", 1)) return INVALID_VALUE;
    return take(address, bytes);
}
int cuMemFreeAsync(uint64_t address, void* stream) {
    return add(static_cast<Stream*>(stream), on_device(address, 1), [=] { give_back(address); });
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    return take(address, bytes);
}
int cuMemFree_v2(uint64_t address) {
    return give_back(address);
}
int cuMemGetInfo_v2(size_t* free, size_t* total) {
    const Lock lock(state().mutex);
    if (!current) return INVALID_CONTEXT;
    return *free = MEMORY - state().taken, *total = MEMORY, SUCCESS;
}
int cuMemHostAlloc(void** memory, size_t bytes, unsigned) {
    if (!current) return INVALID_CONTEXT;
    if (const int code = setting("HOST", SUCCESS)) return code;
    *memory = malloc(bytes);
    const Lock lock(state().mutex);
    state().host.emplace(reinterpret_cast<uint64_t>(*memory), HostBlock{bytes});
    return SUCCESS;
}
int cuMemFreeHost(void* memory) {
    const Lock lock(state().mutex);
    const auto block = state().host.find(reinterpret_cast<uint64_t>(memory));
    if (block == state().host.end()) return INVALID_VALUE;
    if (block->second.users > 0) fail("memory of the host was given back before its use");
    state().host.erase(block);
    return free(memory), SUCCESS;
}

int cuEventCreate(void** event, unsigned flags) {
    if (!current) return INVALID_CONTEXT;
    return *event = new Event, flags == 2 ? SUCCESS : INVALID_VALUE;
}
int cuEventDestroy_v2(void* event) { return delete static_cast<Event*>(event), SUCCESS; }
int cuEventRecord(void* event, void* stream) {
    Event* const which = static_cast<Event*>(event);
    which->stream = static_cast<Stream*>(stream);
    which->done = false;
    return add(which->stream, true, [=] { which->done = true; });
}
int cuEventSynchronize(void* event) {
    Event* const which = static_cast<Event*>(event);
    if (state().fails && !which->done) return state().fails;
    while (!which->done) step(*which->stream);
    return SUCCESS;
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
    const uint64_t asked = digest(from, bytes);
    use(from, 1);
    return add(stream, {{to, bytes}}, [=] {
        if (digest(from, bytes) != asked) fail("memory of the host was changed before its use");
        memcpy(pointer(to), from, bytes);
        use(from, -1);
    });
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
    // As numbers they are none.
    memset(to, 0xFF, bytes);
    use(to, 1);
    return add(stream, {{from, bytes}}, [=] {
        memcpy(to, pointer(from), bytes);
        use(to, -1);
    });
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
    return add(stream, {{to, bytes}, {from, bytes}}, [=] { memcpy(pointer(to), pointer(from), bytes); });
}
int cuMemsetD8Async(uint64_t at, unsigned char value, size_t bytes, void* stream) {
    return add(stream, {{at, bytes}}, [=] { memset(pointer(at), value, bytes); });
}
int cuMemsetD2D8Async(uint64_t at, size_t pitch, unsigned char value, size_t width, size_t height, void* stream) {
    if (height == 0 || width > pitch) return INVALID_VALUE;
    return add(stream, {{at, pitch * (height - 1) + width}}, [=] {
        for (size_t row = 0; row < height; row++) memset(pointer(at + row * pitch), value, width);
    });
}

// What nvcc made has to be a fat binary; the kernels themselves are those of the emulation.
int cuModuleLoadData(void** module, const void* image) {
    uint32_t magic;
    memcpy(&magic, image, sizeof magic);
    if (magic != 0xBA55ED50u || !current) return INVALID_VALUE;
    const Lock lock(state().mutex);
    if (state().static_shared.empty()) state().static_shared = static_shared(image);
    return *module = &context, SUCCESS;
}
int cuModuleUnload(void*) { return SUCCESS; }
int cuModuleGetFunction(void** function, void*, const char* name) {
    static std::map<std::string, Function> functions;
    const Lock lock(state().mutex);
    const int parameters = state().parameters(name);
    const auto fixed = state().static_shared.find(name);
    if (parameters < 0 || fixed == state().static_shared.end()) return NOT_FOUND;
    return *function = &functions.try_emplace(name, name, parameters, fixed->second).first->second, SUCCESS;
}
int cuFuncGetAttribute(int* value, int attribute, void* function) {
    const Function& kernel = *static_cast<Function*>(function);
    switch (attribute) {
        case 1: return *value = kernel.fixed, SUCCESS;
        case 8: return *value = kernel.dynamic + (setting("REDUCED", 1) ? 0 : kernel.fixed), SUCCESS;
        default: return INVALID_VALUE;
    }
}
int cuFuncSetAttribute(void* function, int attribute, int value) {
    Function& kernel = *static_cast<Function*>(function);
    if (attribute != 8 || value > most_shared() - kernel.fixed) return INVALID_VALUE;
    return kernel.dynamic = value, SUCCESS;
}
int cuLaunchKernel(void* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y,
                   unsigned threads_z, unsigned shared, void* stream, void** arguments, void** extra) {
    if (!current) return INVALID_CONTEXT;
    const Function& kernel = *static_cast<Function*>(function);
    const bool no_grid = x == 0 || y == 0 || z == 0 || x > 0x7FFFFFFFu || y > 65535 || z > 65535;
    if (!stream || extra || no_grid || threads == 0 || threads > 1024 || threads_y != 1 || threads_z != 1 ||
        int(shared) > kernel.dynamic)
        return INVALID_VALUE;
    // Each argument has eight bytes, of which the kernel reads those of its parameter.
    std::vector<uint64_t> values;
    for (int i = 0; i < kernel.parameters; i++) values.push_back(*static_cast<uint64_t*>(arguments[i]));
    return add(stream, {}, [=, &kernel]() mutable {
        std::vector<void*> pointers;
        for (uint64_t& value : values) pointers.push_back(&value);
        const unsigned blocks[3] = {x, y, z};
        if (state().launch(kernel.name.c_str(), blocks, threads, shared, pointers.data(), unsigned(values.size())))
            fail("a kernel was not run");
    });
}

}
