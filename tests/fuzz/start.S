/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a guest of target_code.c begins, in 32-bit protected mode: it loads the registers that the
 * input gives it, skipping what raises an exception, and goes to the input's code by IRET. It runs
 * at START_ADDRESS, not where it is linked: only constants are addresses.
 */
#include "start.h"

	.section .rodata
	.globl fuzz_start, fuzz_start_end, fuzz_start_skip, fuzz_start_skip_code
	.code32
fuzz_start:
	movl	$START_STACK, %esp
	lgdt	START_GDTR
	lidt	START_SKIP_IDTR
	ljmp	$START_SELECTOR_CODE, $START_ADDRESS + (2f - fuzz_start)
2:
	movw	$START_SELECTOR_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	/* Each of the instructions that may fault has three bytes, as the handlers think. */
	movl	START_PARAMETERS + START_CR4, %eax
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	movl	START_PARAMETERS + START_EFER, %eax
	xorl	%edx, %edx
	wrmsr
	nop
	movl	START_PARAMETERS + START_CR3, %eax
	movl	%eax, %cr3
	movw	START_PARAMETERS + START_TR, %ax
	ltr	%ax
	movl	START_PARAMETERS + START_CR0, %eax
	movl	%eax, %cr0
	jmp	1f
1:
	lidt	START_IDTR
	movl	$START_PARAMETERS + START_REGISTERS, %esp
	popal
	/* EIP, CS, EFLAGS; ESP, SS; ES, DS, FS, GS: as far as the kind of return takes them. */
	iretl

	/* #GP, and others with an error code */
fuzz_start_skip_code:
	addl	$4, %esp
	/* #UD */
fuzz_start_skip:
	addl	$3, (%esp)
	iretl
fuzz_start_end:

	.section .note.GNU-stack, "", @progbits
