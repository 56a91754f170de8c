/* What stands in the place of a BIOS: the machine's first instructions, which enter protected mode and jump into the
   Linux kernel; and the table ("zero page") in which a boot loader tells the kernel of memory, initial file system and
   command line. Assembled twice, for the two images (ROM defined or not). Kernel, file system and command line are
   put into memory by the emulator itself; see Documentation/arch/x86/boot.rst of Linux for the 32-bit entry. */

#define TABLE_AT 0x10000
#define OPTIONS_AT 0x11000
#define KERNEL_AT 0x100000

#ifdef ROM
/* The last 64 KiB below 4 GiB, where the processor starts 16 bytes from the end. */
        .code16
rom:    cli
        lgdtl %cs:segments_register - rom
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        ljmpl $0x10, $(0xffff0000 + protected - rom)
        .code32
protected:
        movw $0x18, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw %ax, %fs
        movw %ax, %gs
        movl $TABLE_AT, %esi
        xorl %ebx, %ebx
        xorl %ebp, %ebp
        xorl %edi, %edi
        movl $KERNEL_AT, %eax
        jmp *%eax
        .balign 8
segments:
        .quad 0, 0
        .quad 0x00cf9b000000ffff  /* 0x10: all 4 GiB, code */
        .quad 0x00cf93000000ffff  /* 0x18: all 4 GiB, data */
segments_register:
        .word segments_register - segments - 1
        .long 0xffff0000 + segments - rom
        .org 0xfff0
        .code16
        jmp rom
        .org 0x10000
#else
table:  .org 0x1e8
        .byte 2                     /* entries of the memory map */
        .org 0x1f1
        .incbin KERNEL, 0x1f1, 0x210 - 0x1f1
        .byte 0xff                  /* loader: none of the registered */
        .incbin KERNEL, 0x211, 0x218 - 0x211
        .long FILES_AT, FILES_SIZE
        .incbin KERNEL, 0x220, 0x228 - 0x220
        .long OPTIONS_AT
        .incbin KERNEL, 0x22c, 0x26c - 0x22c
        .org 0x2d0
        .quad 0, 0x9f000            /* start and length of usable memory */
        .long 1
        .quad 0x100000, MEMORY - 0x100000
        .long 1
        .org OPTIONS_AT - TABLE_AT
        .asciz OPTIONS
#endif
