// All kernels as one module.
#include "bias.cu"
#include "gelu.cu"
#include "sums.cu"
