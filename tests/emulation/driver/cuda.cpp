// NVIDIA's driver as far as src/ops/cuda/driver asks for it, on the emulation: memory is the host's, kernels run in
// emulation.h. What a stream is given is done as late as it may: when somebody waits for it, or a kernel needs it. So a
// source that is changed too early, or memory that is given back too early, is seen. Arguments are checked.
//
// EMULATED_CUDA_VERSION, _DEVICES, _CAPABILITY, _POOLS and _FAILS (the code of the next wait) make it another machine.
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
    LAUNCH_FAILED = 719,
};

constexpr size_t MEMORY = size_t(1) << 30;
constexpr int OWN_DEVICES = 1, SHARED_LIMIT = 48 * 1024, MOST_SHARED = 227 * 1024;

int setting(const char* name, int otherwise) {
    const char* const value = getenv((std::string("EMULATED_CUDA_") + name).c_str());
    return value ? atoi(value) : otherwise;
}

using Allocate = void* (*)(size_t);
using Free = void (*)(void*);
using Launch = int (*)(const char*, const unsigned*, unsigned, unsigned, void**, unsigned);

// What all streams share. The mutex guards the blocks; streams belong to one thread each.
struct State {
    std::mutex mutex;
    Allocate allocate = nullptr;
    Free free = nullptr;
    Launch launch = nullptr;
    std::map<uint64_t, size_t> blocks;
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
    explicit Function(const char* its_name) : name(its_name) {}
    std::string name;
    std::atomic<int> shared{SHARED_LIMIT};
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

int add(Stream* stream, bool valid, std::function<void()> work) {
    if (!current) return INVALID_CONTEXT;
    if (!stream || !valid) return INVALID_VALUE;
    stream->work.push_back(std::move(work));
    return SUCCESS;
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
void emulated_cuda_uses(Allocate allocate, Free free, Launch launch) {
    state().allocate = allocate;
    state().free = free;
    state().launch = launch;
}

// Everything that the stream was given.
void emulated_cuda_finish(void* stream) {
    std::deque<std::function<void()>>& work = static_cast<Stream*>(stream)->work;
    while (!work.empty()) {
        const std::function<void()> next = std::move(work.front());
        work.pop_front();
        next();
    }
}
bool emulated_cuda_has(uint64_t at, size_t bytes) {
    return current && on_device(at, bytes);
}

int cuDriverGetVersion(int* version) { return *version = setting("VERSION", 13000), SUCCESS; }
int cuInit(unsigned) { return setting("DEVICES", OWN_DEVICES) > 0 ? SUCCESS : NO_DEVICE; }
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
        case 115: return *value = setting("POOLS", 1), SUCCESS;
        default: return INVALID_VALUE;
    }
}
int cuDevicePrimaryCtxRetain(void** out, int) { return *out = &context, SUCCESS; }
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
    return emulated_cuda_finish(stream), SUCCESS;
}
int cuStreamDestroy_v2(void* stream) {
    emulated_cuda_finish(stream);
    return delete static_cast<Stream*>(stream), SUCCESS;
}

int cuDeviceGetDefaultMemPool(void** pool, int) { return *pool = &context, SUCCESS; }
int cuMemPoolSetAttribute(void* pool, int attribute, void* value) {
    const bool valid = pool == &context && attribute == 4 && *static_cast<uint64_t*>(value) == UINT64_MAX;
    return valid ? SUCCESS : INVALID_VALUE;
}
int cuMemPoolTrimTo(void* pool, size_t) { return pool == &context ? SUCCESS : INVALID_VALUE; }
int cuMemAllocAsync(uint64_t* address, size_t bytes, void* stream) {
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
    return *memory = malloc(bytes), SUCCESS;
}
int cuMemFreeHost(void* memory) { return free(memory), SUCCESS; }

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
    while (!which->done) {
        const std::function<void()> next = std::move(which->stream->work.front());
        which->stream->work.pop_front();
        next();
    }
    return SUCCESS;
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
    return add(static_cast<Stream*>(stream), on_device(to, bytes), [=] { memcpy(pointer(to), from, bytes); });
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
    return add(static_cast<Stream*>(stream), on_device(from, bytes), [=] { memcpy(to, pointer(from), bytes); });
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
    const bool valid = on_device(to, bytes) && on_device(from, bytes);
    return add(static_cast<Stream*>(stream), valid, [=] { memcpy(pointer(to), pointer(from), bytes); });
}
int cuMemsetD8Async(uint64_t at, unsigned char value, size_t bytes, void* stream) {
    return add(static_cast<Stream*>(stream), on_device(at, bytes), [=] { memset(pointer(at), value, bytes); });
}
int cuMemsetD2D8Async(uint64_t at, size_t pitch, unsigned char value, size_t width, size_t height, void* stream) {
    const bool valid = height > 0 && width <= pitch && on_device(at, pitch * (height - 1) + width);
    return add(static_cast<Stream*>(stream), valid, [=] {
        for (size_t row = 0; row < height; row++) memset(pointer(at + row * pitch), value, width);
    });
}

// What nvcc made has to be a fat binary; the kernels themselves are those of the emulation.
int cuModuleLoadData(void** module, const void* image) {
    uint32_t magic;
    memcpy(&magic, image, sizeof magic);
    return *module = &context, magic == 0xBA55ED50u && current ? SUCCESS : INVALID_VALUE;
}
int cuModuleUnload(void*) { return SUCCESS; }
int cuModuleGetFunction(void** function, void*, const char* name) {
    static std::map<std::string, Function> functions;
    const Lock lock(state().mutex);
    // The emulation tells a missing kernel by 1, and a wrong number of parameters by 2.
    const unsigned blocks[3] = {0, 0, 0};
    if (state().launch(name, blocks, 1, 0, nullptr, ~0u) != 2) return NOT_FOUND;
    return *function = &functions.try_emplace(name, name).first->second, SUCCESS;
}
int cuFuncGetAttribute(int* value, int attribute, void* function) {
    if (attribute != 8) return INVALID_VALUE;
    *value = static_cast<Function*>(function)->shared;
    return SUCCESS;
}
int cuFuncSetAttribute(void* function, int attribute, int value) {
    if (attribute != 8 || value > MOST_SHARED) return INVALID_VALUE;
    static_cast<Function*>(function)->shared = value;
    return SUCCESS;
}
int cuLaunchKernel(void* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y,
                   unsigned threads_z, unsigned shared, void* stream, void** arguments, void** extra) {
    if (!current) return INVALID_CONTEXT;
    const Function& kernel = *static_cast<Function*>(function);
    const bool no_grid = x == 0 || y == 0 || z == 0 || x > 0x7FFFFFFFu || y > 65535 || z > 65535;
    if (!stream || extra || no_grid || threads == 0 || threads > 1024 || threads_y != 1 || threads_z != 1 ||
        int(shared) > kernel.shared)
        return INVALID_VALUE;
    emulated_cuda_finish(stream);
    const unsigned blocks[3] = {x, y, z};
    for (unsigned count = 0; count < 64; count++) {
        const int outcome = state().launch(kernel.name.c_str(), blocks, threads, shared, arguments, count);
        if (outcome != 2) return outcome ? LAUNCH_FAILED : SUCCESS;
    }
    return INVALID_VALUE;
}

}
