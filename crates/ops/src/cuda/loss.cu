#include "common.cuh"

__device__ __forceinline__ float not_a_number() { return bits_to_float(0x7FC00000u); }
__device__ __forceinline__ float minus_infinity() { return bits_to_float(0xFF800000u); }

// -ln softmax(x)[target], with d = (softmax(x) - onehot(target)) / divisor. A target that is no class has no loss: NaN.
template <typename T>
__device__ double cross_entropy(const float* x, unsigned labels, unsigned target, float divisor, T* d) {
    float peak = minus_infinity();
    for (unsigned j = 0; j < labels; j++) peak = fmaxf(peak, x[j]);
    double total = 0;
    for (unsigned j = 0; j < labels; j++) total += exp(double(x[j] - peak));
    const float at_target = target < labels ? x[target] - peak : not_a_number();
    for (unsigned j = 0; j < labels; j++) {
        const double p = exp(double(x[j] - peak)) / total;
        d[j] = from_float<T>(float(p - (j == target ? 1.0 : 0.0)) / divisor);
    }
    return log(total) - double(at_target);
}

// Cross-entropy where there are classes, else squared errors; one of both addresses is null. d_logits are divided by
// `divisor`. One block writes the mean to `loss`; with more it is null.
template <typename T>
__device__ void example_losses(const float* logits, const uint32_t* classes, const float* scores, unsigned examples,
                               unsigned labels, float divisor, T* d_logits, double* loss) {
    double sum = 0;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < examples; i += gridDim.x * blockDim.x) {
        if (classes) {
            const size_t at = size_t(i) * labels;
            sum += cross_entropy<T>(logits + at, labels, classes[i], divisor, d_logits + at);
        } else {
            const double difference = double(logits[i]) - double(scores[i]);
            d_logits[i] = from_float<T>(float(2.0 * difference) / divisor);
            sum += difference * difference;
        }
    }
    if (!loss) return;
    sum = block_sum(sum);
    if (threadIdx.x == 0) *loss = sum / double(examples);
}
#define PARAMETERS(T)                                                                                   \
    const float *logits, const uint32_t *classes, const float *scores, unsigned examples, unsigned labels, \
        float divisor, T *d_logits, double *loss
KERNEL(example_losses, PARAMETERS, (logits, classes, scores, examples, labels, divisor, d_logits, loss))
#undef PARAMETERS

// loss ← the mean of the losses. One block.
extern "C" __global__ void mean_loss(const float* losses, unsigned count, double* loss) {
    double sum = 0;
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) sum += double(losses[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) *loss = sum / double(count);
}
REGISTER(mean_loss)

// Σ exp(x - peak) of the numbers seen so far, and their peak. NaN is no peak but makes the sum NaN.
struct Exponentials {
    float peak;
    double sum;

    template <unsigned N>
    __device__ __forceinline__ void add(const float (&x)[N]) {
        float top = peak;
        for (unsigned i = 0; i < N; i++) top = fmaxf(top, x[i]);
        if (top > peak) {
            sum *= double(expf(peak - top));
            peak = top;
        }
        // Where all are -∞ there is nothing to subtract.
        const float from = peak == minus_infinity() ? 0.0f : peak;
        for (unsigned i = 0; i < N; i++) sum += double(expf(x[i] - from));
    }
};

// The same in all threads: the peak of the block, and the sum that refers to it.
__device__ __forceinline__ Exponentials of_block(const Exponentials& mine) {
    SHARED(float, peaks, WARP);
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const float of_warp = warp_max(mine.peak);
    if (lane == 0) peaks[warp] = of_warp;
    __syncthreads();
    const float peak = warp_max(lane < blockDim.x / WARP ? peaks[lane] : minus_infinity());
    const float factor = expf(mine.peak - peak);
    return Exponentials{peak, block_sum(mine.sum * double(factor))};
}

// One block a row of logits (rows, v), which is read twice: d = scale · (softmax(x) - onehot(target)), in its place if d
// is logits. The rows of both are `stride` elements apart. Four elements at once between the row's borders, which need not
// be multiples of four.
template <typename T>
__device__ void words(const float* logits, const uint32_t* targets, unsigned v, unsigned stride, float scale, T* d,
                      float* losses, uint32_t* correct) {
    const size_t row = size_t(blockIdx.x) * stride;
    const float* const x = logits + row;
    T* const to = d + row;
    const unsigned target = targets[blockIdx.x];
    const float at_target = target < v ? x[target] : not_a_number();
    // Of the elements outside the quads each thread has one at most, the same both times.
    const unsigned begin = min(unsigned((4 - row % 4) % 4), v);
    const unsigned end = begin + (v - begin) / 4 * 4;
    const unsigned single = threadIdx.x < begin ? threadIdx.x : threadIdx.x - begin + end;

    Exponentials mine{minus_infinity(), 0.0};
    for (unsigned i = begin + threadIdx.x * 4; i < end; i += blockDim.x * 4) {
        float values[4];
        load4(x + i, values);
        mine.add(values);
    }
    if (single < v) {
        const float value[1] = {x[single]};
        mine.add(value);
    }
    const Exponentials all = of_block(mine);

    const float factor = float(double(scale) / all.sum);
    for (unsigned i = begin + threadIdx.x * 4; i < end; i += blockDim.x * 4) {
        float values[4];
        load4(x + i, values);
        for (unsigned k = 0; k < 4; k++)
            values[k] = expf(values[k] - all.peak) * factor - (i + k == target ? scale : 0.0f);
        store4(to + i, values);
    }
    if (single < v)
        to[single] = from_float<T>(expf(x[single] - all.peak) * factor - (single == target ? scale : 0.0f));
    if (threadIdx.x == 0) {
        losses[blockIdx.x] = float(log(all.sum) - double(at_target - all.peak));
        correct[blockIdx.x] = at_target - all.peak >= 0.0f;
    }
}
#define PARAMETERS(T)                                                                                             \
    const float *logits, const uint32_t *targets, unsigned v, unsigned stride, float scale, T *d, float *losses, \
        uint32_t *correct
KERNEL(words, PARAMETERS, (logits, targets, v, stride, scale, d, losses, correct))
#undef PARAMETERS

// One block a sequence. Of each column of its logits (tokens, 2) the cross-entropy over its own tokens, whose mean is the
// loss: d = (softmax(x) - onehot(target)) / (2 · divisor). `targets` has the starts of all sequences, then the ends. A target
// behind the sequence has no loss: NaN.
template <typename T>
__device__ void span_losses(const float* logits, const uint32_t* offsets, const uint32_t* targets, float divisor, T* d,
                            float* losses) {
    const unsigned begin = offsets[blockIdx.x], count = offsets[blockIdx.x + 1] - begin;
    const float* const x = logits + size_t(begin) * 2;
    T* const to = d + size_t(begin) * 2;
    double loss = 0;
    for (unsigned column = 0; column < 2; column++) {
        Exponentials mine{minus_infinity(), 0.0};
        for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
            const float value[1] = {x[i * 2 + column]};
            mine.add(value);
        }
        const Exponentials all = of_block(mine);
        const unsigned target = targets[column * gridDim.x + blockIdx.x];
        const float at_target = target < count ? x[target * 2 + column] : not_a_number();
        const float factor = float(0.5 / all.sum);
        for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
            const float p = expf(x[i * 2 + column] - all.peak) * factor;
            to[i * 2 + column] = from_float<T>((p - (i == target ? 0.5f : 0.0f)) / divisor);
        }
        loss += 0.5 * (log(all.sum) - double(at_target - all.peak));
    }
    if (threadIdx.x == 0) losses[blockIdx.x] = float(loss);
}
#define PARAMETERS(T) \
    const float *logits, const uint32_t *offsets, const uint32_t *targets, float divisor, T *d, float *losses
KERNEL(span_losses, PARAMETERS, (logits, offsets, targets, divisor, d, losses))
#undef PARAMETERS
