// Kernels that are wrong when asked to be, for the proof that this is noticed.
#include "emulation.h"

#include "bugs.cu"
