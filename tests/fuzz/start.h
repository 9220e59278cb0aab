/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest-physical addresses of start.S and what it finds there; for C and assembler. */
#ifndef TESTS_FUZZ_START_H
#define TESTS_FUZZ_START_H

#define START_ADDRESS       0x600
#define START_HEADER        0x400 /* the multiboot header */
#define START_PARAMETERS    0x800
#define START_GDTR          0x900
#define START_IDTR          0x908
#define START_SKIP_IDTR     0x910
#define START_SKIP_IDT      0xa00
#define START_STACK         0xd00
#define START_SELECTOR_DATA 0x10
#define START_SELECTOR_CODE 0x18

/* Offsets in the parameters */
#define START_CR0       0
#define START_CR3       4
#define START_CR4       8
#define START_EFER      12
#define START_TR        16
#define START_REGISTERS 20 /* EDI ... EAX as POPAD takes them, then the frame of IRET */

#endif
