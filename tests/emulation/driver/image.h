// What nvcc says of the kernels in the file that it made.
#pragma once
#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>

// Bytes of shared memory of fixed size that each kernel has, by the machine code in a fat binary that is not compressed.
// Of several architectures the least counts: the later ones add what the system has for itself.
inline std::map<std::string, int> static_shared(const void* image) {
    constexpr char PREFIX[] = ".nv.shared.";
    std::map<std::string, int> all;
    const auto* at = static_cast<const unsigned char*>(image);
    uint64_t bytes;
    memcpy(&bytes, at + 8, sizeof bytes);
    at += 16;
    for (const unsigned char* const end = at + bytes; at < end;) {
        uint16_t kind;
        uint32_t header;
        memcpy(&kind, at, sizeof kind);
        memcpy(&header, at + 4, sizeof header);
        memcpy(&bytes, at + 8, sizeof bytes);
        const unsigned char* const file = at + header;
        at = file + bytes;
        // 2 is machine code.
        if (kind != 2 || memcmp(file, ELFMAG, SELFMAG) != 0) continue;
        const auto& elf = *reinterpret_cast<const Elf64_Ehdr*>(file);
        const auto* const sections = reinterpret_cast<const Elf64_Shdr*>(file + elf.e_shoff);
        const auto* const names = reinterpret_cast<const char*>(file + sections[elf.e_shstrndx].sh_offset);
        for (const Elf64_Shdr* section = sections; section < sections + elf.e_shnum; section++) {
            const char* const name = names + section->sh_name;
            if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0) continue;
            const auto [known, is_new] = all.emplace(name + sizeof PREFIX - 1, int(section->sh_size));
            if (!is_new) known->second = std::min(known->second, int(section->sh_size));
        }
    }
    return all;
}
