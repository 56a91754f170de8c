// The kernels with the emulation, as one library.
#include "emulation.h"

#include "kernels.cu"
