// All kernels as one module.
#include "gelu.cu"
#include "sums.cu"
