// All kernels as one module.
#include "activation.cu"
#include "adamw.cu"
#include "convert.cu"
#include "gates.cu"
#include "gelu.cu"
#include "linear.cu"
#include "loss.cu"
#include "sums.cu"
