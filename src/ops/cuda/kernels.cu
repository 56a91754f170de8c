// All kernels as one module.
#include "gelu.cu"
#include "linear.cu"
#include "sums.cu"
