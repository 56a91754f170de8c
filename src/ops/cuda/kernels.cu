// All kernels as one module.
#include "dropout.cu"
#include "embedding.cu"
#include "gelu.cu"
#include "layer_norm.cu"
#include "layer_norm_backward.cu"
#include "rows.cu"
#include "sums.cu"
