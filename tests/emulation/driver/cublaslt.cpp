// cuBLASLt of CUDA's version MAJOR as far as crates/ops/src/cuda/driver asks for it, by its documentation: matrices by columns, sums
// in f32. EMULATED_CUBLAS_VERSION, _CREATE (the status of the first call) and _PLAN (that of the first plan) alter it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

extern "C" {
int emulated_cuda_add(void* stream, const uint64_t (*ranges)[2], int count, void (*work)(void*), void* with);
}

namespace {

enum Status { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum Type { F32 = 0, BF16 = 14 };
constexpr uint32_t EPILOGUE_NONE = 1, EPILOGUE_BIAS = 4;

// CUBLAS_COMPUTE_32F, and _32F_FAST_TF32
enum Compute { STRICT = 68, TF32 = 77 };

struct Description {
    int compute;
    int32_t transposed_a = 0, transposed_b = 0;
    uint32_t epilogue = EPILOGUE_NONE;
    uint64_t bias = 0;
};
struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t stride;
    size_t bytes() const { return type == BF16 ? 2 : 4; }
    // From the first element to the end of the last one.
    size_t extent() const { return (size_t(stride) * (columns - 1) + rows) * bytes(); }
};
struct Preference {
    uint64_t workspace = 0;
    uint32_t reductions = 7, alignments[4] = {256, 256, 256, 256};
};
int setting(const char* name, int otherwise) {
    const char* const value = getenv((std::string("EMULATED_CUBLAS_") + name).c_str());
    return value ? atoi(value) : otherwise;
}
// What an algorithm was chosen for.
struct Algorithm {
    uint64_t workspace;
    uint32_t alignments[4], chosen, epilogue;
};
struct Outcome {
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
static_assert(sizeof(Algorithm) <= sizeof(Outcome::algorithm));

float read(const Layout& layout, uint64_t base, uint64_t row, uint64_t column) {
    const size_t at = size_t(column) * layout.stride + row;
    if (layout.type == F32) return reinterpret_cast<const float*>(base)[at];
    const uint32_t bits = uint32_t(reinterpret_cast<const uint16_t*>(base)[at]) << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
// What a tensor core reads of an f32: 10 bits behind the point.
float shortened(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits &= ~uint32_t(0x1FFF);
    memcpy(&value, &bits, 4);
    return value;
}
// All of it, or all of the transposed matrix, column after column, as the products read it.
std::vector<float> unpacked(const Layout& layout, uint64_t base, bool transposed, int compute) {
    std::vector<float> all;
    all.reserve(layout.rows * layout.columns);
    for (uint64_t i = 0; i < (transposed ? layout.rows : layout.columns); i++)
        for (uint64_t j = 0; j < (transposed ? layout.columns : layout.rows); j++)
            all.push_back(transposed ? read(layout, base, i, j) : read(layout, base, j, i));
    if (compute == TF32)
        for (float& value : all) value = shortened(value);
    return all;
}
void write(const Layout& layout, uint64_t base, uint64_t row, uint64_t column, float value) {
    const size_t at = size_t(column) * layout.stride + row;
    if (layout.type == F32) {
        reinterpret_cast<float*>(base)[at] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, 4);
    reinterpret_cast<uint16_t*>(base)[at] = uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Whether the three fit together; c is (rows, columns), inner is how many terms each sum has.
bool fit(const Description& d, const Layout& a, const Layout& b, const Layout& c, uint64_t& inner) {
    const uint64_t a_rows = d.transposed_a ? a.columns : a.rows, b_columns = d.transposed_b ? b.rows : b.columns;
    inner = d.transposed_a ? a.rows : a.columns;
    for (const Layout* layout : {&a, &b, &c})
        if (layout->rows == 0 || layout->columns == 0 || layout->stride < int64_t(layout->rows)) return false;
    const bool formats = a.type == b.type && (c.type == a.type || c.type == F32);
    if (d.compute == TF32 && a.type != F32) return false;
    return formats && a_rows == c.rows && b_columns == c.columns && inner == (d.transposed_b ? b.columns : b.rows);
}

// A product that a stream will come to.
struct Task {
    Description what;
    Layout of_a, of_b, of_c;
    uint64_t a, b, c, inner;
    float factor, old;
};

void multiply(const Task& task) {
    const Layout& of_c = task.of_c;
    const bool biased = task.what.epilogue == EPILOGUE_BIAS;
    const Layout of_bias{of_c.type, of_c.rows, 1, int64_t(of_c.rows)};
    const std::vector<float> left = unpacked(task.of_a, task.a, task.what.transposed_a, task.what.compute);
    const std::vector<float> right = unpacked(task.of_b, task.b, task.what.transposed_b, task.what.compute);
    std::vector<float> sums(of_c.rows);
    for (uint64_t column = 0; column < of_c.columns; column++) {
        sums.assign(of_c.rows, 0.0f);
        for (uint64_t i = 0; i < task.inner; i++) {
            const float* const terms = &left[i * of_c.rows];
            const float other = right[column * task.inner + i];
            for (uint64_t row = 0; row < of_c.rows; row++) sums[row] += terms[row] * other;
        }
        for (uint64_t row = 0; row < of_c.rows; row++) {
            float sum = task.factor * sums[row];
            if (task.old != 0) sum += task.old * read(of_c, task.c, row, column);
            if (biased) sum += read(of_bias, task.what.bias, row, 0);
            write(of_c, task.c, row, column, sum);
        }
    }
}

template <typename T>
int set(T& to, const void* value, size_t bytes) {
    if (bytes != sizeof(T)) return INVALID_VALUE;
    return memcpy(&to, value, bytes), SUCCESS;
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return size_t(setting("VERSION", MAJOR * 10000 + 2)); }
int cublasLtCreate(void** handle) {
    if (const int status = setting("CREATE", SUCCESS)) return status;
    return *handle = new int, SUCCESS;
}
int cublasLtDestroy(void* handle) { return delete static_cast<int*>(handle), SUCCESS; }

int cublasLtMatmulDescCreate(void** made, int compute, int scale) {
    if ((compute != STRICT && compute != TF32) || scale != F32) return NOT_SUPPORTED;
    return *made = new Description{compute}, SUCCESS;
}
int cublasLtMatmulDescDestroy(void* made) { return delete static_cast<Description*>(made), SUCCESS; }
int cublasLtMatmulDescSetAttribute(void* made, int attribute, const void* value, size_t bytes) {
    Description& d = *static_cast<Description*>(made);
    switch (attribute) {
        case 3: return set(d.transposed_a, value, bytes);
        case 4: return set(d.transposed_b, value, bytes);
        case 7: return set(d.epilogue, value, bytes);
        case 8: return set(d.bias, value, bytes);
        default: return NOT_SUPPORTED;
    }
}

int cublasLtMatrixLayoutCreate(void** made, int type, uint64_t rows, uint64_t columns, int64_t stride) {
    if (type != F32 && type != BF16) return NOT_SUPPORTED;
    return *made = new Layout{type, rows, columns, stride}, SUCCESS;
}
int cublasLtMatrixLayoutDestroy(void* made) { return delete static_cast<Layout*>(made), SUCCESS; }

int cublasLtMatmulPreferenceCreate(void** made) { return *made = new Preference, SUCCESS; }
int cublasLtMatmulPreferenceDestroy(void* made) { return delete static_cast<Preference*>(made), SUCCESS; }
int cublasLtMatmulPreferenceSetAttribute(void* made, int attribute, const void* value, size_t bytes) {
    Preference& p = *static_cast<Preference*>(made);
    if (attribute == 1) return set(p.workspace, value, bytes);
    if (attribute == 3) return set(p.reductions, value, bytes);
    if (attribute >= 5 && attribute <= 8) return set(p.alignments[attribute - 5], value, bytes);
    return NOT_SUPPORTED;
}

int cublasLtMatmulAlgoGetHeuristic(void* handle, void* description, void* a, void* b, void* c, void* d, void* wanted,
                                   int room, void* outcomes, int* count) {
    const Description& what = *static_cast<Description*>(description);
    const Preference& preference = *static_cast<Preference*>(wanted);
    uint64_t inner;
    *count = 0;
    static int first = setting("PLAN", SUCCESS);
    if (const int status = first) return first = SUCCESS, status;
    if (!handle || room < 1 || c != d) return INVALID_VALUE;
    if (!fit(what, *static_cast<Layout*>(a), *static_cast<Layout*>(b), *static_cast<Layout*>(c), inner))
        return INVALID_VALUE;
    // As some versions have it.
    if (what.epilogue == EPILOGUE_BIAS && inner == 1) return NOT_SUPPORTED;
    // Parts of a sum may be added in f32 alone.
    if (preference.reductions != 2) return NOT_SUPPORTED;
    Algorithm algorithm{preference.workspace, {}, 0xC0FFEE, what.epilogue};
    memcpy(algorithm.alignments, preference.alignments, sizeof algorithm.alignments);
    Outcome outcome{};
    memcpy(outcome.algorithm, &algorithm, sizeof algorithm);
    outcome.workspace = preference.workspace;
    memcpy(outcomes, &outcome, sizeof outcome);
    return *count = 1, SUCCESS;
}

int cublasLtMatmul(void* handle, void* description, const void* alpha, const void* a, void* a_layout, const void* b,
                   void* b_layout, const void* beta, const void* c, void* c_layout, void* d, void* d_layout,
                   const void* chosen, void* workspace, size_t workspace_bytes, void* stream) {
    const Description& what = *static_cast<Description*>(description);
    const Layout &of_a = *static_cast<Layout*>(a_layout), &of_b = *static_cast<Layout*>(b_layout);
    const Layout& of_c = *static_cast<Layout*>(c_layout);
    Algorithm algorithm;
    memcpy(&algorithm, chosen, sizeof algorithm);
    const uint64_t at[3] = {uint64_t(a), uint64_t(b), uint64_t(c)};
    uint64_t inner;
    if (!handle || !stream || c != d || c_layout != d_layout || !fit(what, of_a, of_b, of_c, inner)) return INVALID_VALUE;
    if (algorithm.chosen != 0xC0FFEE || algorithm.epilogue != what.epilogue) return INVALID_VALUE;
    if (algorithm.workspace > workspace_bytes) return INVALID_VALUE;
    for (int i = 0; i < 3; i++)
        if (at[i] % algorithm.alignments[i] != 0) return INVALID_VALUE;
    // A bias is of c's type, one for each row, and aligned as the outcome is said to be.
    const bool biased = what.epilogue == EPILOGUE_BIAS;
    if (biased && what.bias % algorithm.alignments[3] != 0) return INVALID_VALUE;

    // The stream has to have all of this memory.
    const uint64_t ranges[5][2] = {{at[0], of_a.extent()},
                                   {at[1], of_b.extent()},
                                   {at[2], of_c.extent()},
                                   {uint64_t(workspace), workspace_bytes},
                                   {what.bias, of_c.rows * of_c.bytes()}};
    const float factor = *static_cast<const float*>(alpha), old = *static_cast<const float*>(beta);
    Task* const task = new Task{what, of_a, of_b, of_c, at[0], at[1], at[2], inner, factor, old};
    const auto work = [](void* with) {
        multiply(*static_cast<Task*>(with));
        delete static_cast<Task*>(with);
    };
    const int code = emulated_cuda_add(stream, ranges, biased ? 5 : 4, work, task);
    if (code) delete task;
    return code ? INVALID_VALUE : SUCCESS;
}

}
