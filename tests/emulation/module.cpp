// The kernels for the emulation.
#include "emulation.h"

#include "kernels.cu"
