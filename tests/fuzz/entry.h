/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest-physical addresses of entry.S and what it finds there; for C and assembler. */
#ifndef TESTS_FUZZ_ENTRY_H
#define TESTS_FUZZ_ENTRY_H

#define ENTRY_ADDRESS       0x600
#define ENTRY_HEADER        0x400 /* the multiboot header */
#define ENTRY_PARAMETERS    0x800
#define ENTRY_GDTR          0x900
#define ENTRY_IDTR          0x908
#define ENTRY_SKIP_IDTR     0x910
#define ENTRY_SKIP_IDT      0xa00
#define ENTRY_STACK         0xd00
#define ENTRY_SELECTOR_DATA 0x10
#define ENTRY_SELECTOR_CODE 0x18

/* Offsets in the parameters */
#define ENTRY_CR0           0
#define ENTRY_CR3           4
#define ENTRY_CR4           8
#define ENTRY_EFER          12
#define ENTRY_TR            16
#define ENTRY_REGISTERS     20 /* EDI ... EAX as POPAD takes them, then the frame of IRET */

#endif
