/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a guest of target_code.c begins, in 32-bit protected mode: it loads the registers that the
 * input gives it, skipping what raises an exception, and goes to the input's code by IRET. It runs
 * at ENTRY_ADDRESS, not where it is linked: only constants are addresses.
 */
#include "entry.h"

	.section .rodata
	.globl fuzz_entry, fuzz_entry_end, fuzz_entry_skip, fuzz_entry_skip_code
	.code32
fuzz_entry:
	movl	$ENTRY_STACK, %esp
	lgdt	ENTRY_GDTR
	lidt	ENTRY_SKIP_IDTR
	ljmp	$ENTRY_SELECTOR_CODE, $ENTRY_ADDRESS + (2f - fuzz_entry)
2:
	movw	$ENTRY_SELECTOR_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	/* Each of the instructions that may fault has three bytes, as the handlers think. */
	movl	ENTRY_PARAMETERS + ENTRY_CR4, %eax
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	movl	ENTRY_PARAMETERS + ENTRY_EFER, %eax
	xorl	%edx, %edx
	wrmsr
	nop
	movl	ENTRY_PARAMETERS + ENTRY_CR3, %eax
	movl	%eax, %cr3
	movw	ENTRY_PARAMETERS + ENTRY_TR, %ax
	ltr	%ax
	movl	ENTRY_PARAMETERS + ENTRY_CR0, %eax
	movl	%eax, %cr0
	jmp	1f
1:
	lidt	ENTRY_IDTR
	movl	$ENTRY_PARAMETERS + ENTRY_REGISTERS, %esp
	popal
	/* EIP, CS, EFLAGS; ESP, SS; ES, DS, FS, GS: as far as the kind of return takes them. */
	iretl

	/* #GP, and others with an error code */
fuzz_entry_skip_code:
	addl	$4, %esp
	/* #UD */
fuzz_entry_skip:
	addl	$3, (%esp)
	iretl
fuzz_entry_end:

	.section .note.GNU-stack, "", @progbits
