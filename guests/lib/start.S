/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the multiboot entry (32-bit protected mode, no paging) to 64-bit mode, with the first 2 GiB
 * mapped to themselves by 2M pages; the same for further processors, from the real mode in which a
 * SIPI starts them; then the entry points of exceptions and interrupts.
 */

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00000002 /* tell me about memory */

#define PTE_P  0x01
#define PTE_W  0x02
#define PTE_PS 0x80

#define CR0_PG 0x80000000
#define CR0_WP 0x00010000
#define CR0_PE 0x00000001
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME_NXE 0x900

#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define START_CS 0x18 /* 32-bit */

#define NR_STUBS 64
#define STACK_SIZE 16384
#define MAX_CPUS 8
#define NR_DIRECTORIES 2 /* of boot tables, a GiB each */

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.code32
	.globl _start
_start:
	cli
	cld
	movl $stack_top, %esp
	movl %eax, boot_magic
	movl %ebx, boot_info

	movl $(pdpt + PTE_P + PTE_W), boot_pml4
	movl $(directories + PTE_P + PTE_W), pdpt
	movl $(directories + 4096 + PTE_P + PTE_W), pdpt + 8
	movl $directories, %edi
	movl $(PTE_P + PTE_W + PTE_PS), %eax
	movl $(NR_DIRECTORIES * 512), %ecx
1:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	decl %ecx
	jnz 1b

	call enable_paging
	lgdt gdt_pointer
	ljmp $KERNEL_CS, $long_mode

/* Into compatibility mode, in the boot tables. */
enable_paging:
	movl $boot_pml4, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME_NXE, %eax
	wrmsr
	movl %cr0, %eax
	orl $(CR0_PG + CR0_WP + CR0_PE), %eax
	movl %eax, %cr0
	ret

/*
 * Copied to a page below 1 MiB. A SIPI starts a processor there in real mode, with CS:IP at its
 * first byte (SDM 3A 8.4.4).
 */
	.code16
	.globl trampoline, trampoline_end
trampoline:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl trampoline_gdt - trampoline
	movl %cr0, %eax
	orl $CR0_PE, %eax
	movl %eax, %cr0
	ljmpl $START_CS, $start_32
	.balign 4
trampoline_gdt:
	.word gdt_pointer - gdt - 1
	.long gdt
trampoline_end:

	.code32
start_32:
	movl $KERNEL_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl processor_stack, %esp
	call enable_paging
	ljmp $KERNEL_CS, $processor_long_mode

	.code64
processor_long_mode:
	movl $KERNEL_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl processor_stack, %esp
	xorl %ebp, %ebp
	call processor_main
1:	cli
	hlt
	jmp 1b

long_mode:
	movl $KERNEL_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl $stack_top, %esp
	xorl %ebp, %ebp
	movl boot_magic, %edi
	movl boot_info, %esi
	call runtime_start
2:	cli
	hlt
	jmp 2b

/*
 * exception_stubs[vector], of interrupts too: every stub has 16 bytes and leaves vector and error
 * code (0 where the processor pushes none) on the stack.
 */
	.balign 16
	.globl exception_stubs
exception_stubs:
	.set vector, 0
	.rept NR_STUBS
	.balign 16
	.if !((vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17))
	pushq $0
	.endif
	pushq $vector
	jmp exception_common
	.set vector, vector + 1
	.endr

exception_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	call exception
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

	.section .rodata
	.balign 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 64-bit code */
	.quad 0x00cf93000000ffff /* data */
	.quad 0x00cf9b000000ffff /* 32-bit code */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.quad gdt

	.bss
	.balign 4096
	.globl boot_pml4
boot_pml4:
	.skip 4096
pdpt:
	.skip 4096
directories:
	.skip 4096 * NR_DIRECTORIES
/* One after the other, each aligned to its size: processor_number() finds its own that way. */
	.balign STACK_SIZE
	.globl stacks
stacks:
	.skip STACK_SIZE
stack_top:
	.skip STACK_SIZE * (MAX_CPUS - 1)
	.globl processor_stack
processor_stack:
	.skip 4
boot_magic:
	.skip 4
boot_info:
	.skip 4

	.section .note.GNU-stack, "", @progbits
