// What the scheduler tells the address sanitizer: from the next switch on another stack is used.
#pragma once
#include <cstddef>

#if defined(SANITIZE_address)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {

inline void tell_next_stack([[maybe_unused]] const void* bottom, [[maybe_unused]] size_t size) {
#if defined(SANITIZE_address)
    __sanitizer_start_switch_fiber(nullptr, bottom, size);
#endif
}
// The switch is done; it came from the stack that `bottom` and `size` receive where they are given.
inline void tell_switched([[maybe_unused]] const void** bottom, [[maybe_unused]] size_t* size) {
#if defined(SANITIZE_address)
    __sanitizer_finish_switch_fiber(nullptr, bottom, size);
#endif
}

}  // namespace emulation
