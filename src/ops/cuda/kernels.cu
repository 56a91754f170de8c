// All kernels as one module.
#include "attention_backward_keys.cu"
#include "attention_backward_queries.cu"
#include "attention_forward.cu"
#include "attention_plain.cu"
#include "gelu.cu"
#include "sums.cu"
