/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exit reasons of VMX and SVM under one vocabulary. BPF programs include this too: no other header,
 * and functions that the compiler can inline.
 */
#ifndef COLLECTORS_EXIT_REASONS_H
#define COLLECTORS_EXIT_REASONS_H

enum kvm_exit_reason {
#define KVM_EXIT_REASON(name, help) KVM_EXIT_##name,
#include "collectors/exit_reasons.def"
	KVM_EXIT_REASON_COUNT,
};

/*
 * Times from an exit to the re-entry: slot i has those below 2^(i + EXIT_SLOT_SHIFT) nanoseconds
 * that no slot before has, the last one all that are longer.
 */
enum { EXIT_SLOT_SHIFT = 8, EXIT_SLOT_COUNT = 24 };

/* The instruction sets of kvm_exit's records (KVM_ISA_VMX, KVM_ISA_SVM of the kernel). */
enum { EXIT_ISA_VMX = 1, EXIT_ISA_SVM = 2 };

/* Numbers that need a look at what else the processor says of the exit. */
enum {
	EXIT_VMX_EXCEPTION_NMI = 0,
	EXIT_VMX_CR_ACCESS = 28,
	EXIT_SVM_WRITE_CR3 = 0x13,
	EXIT_SVM_MSR = 0x7c,
	EXIT_SVM_NPF = 0x400,
	EXIT_SVM_NPF_RESERVED = 1 << 3, /* of EXITINFO1: how KVM marks a device's memory */
	EXIT_VMX_BASIC = 0xffff,        /* of VMX's exit reason; above are flags */
	EXIT_VMX_MAX = 96,
	EXIT_SVM_MAX = 0x404,
};

/* Their reasons plus one; 0: none has this number. */
static const unsigned char exit_vmx_reasons[EXIT_VMX_MAX] = {
#define KVM_EXIT_VMX(first, last, name) [first... last] = KVM_EXIT_##name + 1,
#include "collectors/exit_reasons.def"
};
static const unsigned char exit_svm_reasons[EXIT_SVM_MAX] = {
#define KVM_EXIT_SVM(first, last, name) [first... last] = KVM_EXIT_##name + 1,
#include "collectors/exit_reasons.def"
};

/* What interrupted the guest, of the VM-exit interruption information (SDM 3C 25.9.2). */
static inline enum kvm_exit_reason exit_reason_exception(unsigned int intr_info)
{
	if ((intr_info >> 8 & 7) == 2)
		return KVM_EXIT_nmi;
	return (intr_info & 0xff) == 14 ? KVM_EXIT_page_fault : KVM_EXIT_exception;
}

/*
 * A look into one of these tables. The verifier of kernels before 6.4 forgets what was compared
 * when it was copied as 32 bits: so it is 64 of them, and in one register from here on.
 */
static inline enum kvm_exit_reason exit_look_up(const unsigned char *reasons,
						unsigned long long count, unsigned long long number)
{
	unsigned int reason;

	__asm__ volatile("" : "+r"(number));
	if (number >= count)
		return KVM_EXIT_other;
	reason = reasons[number];
	return reason ? (enum kvm_exit_reason)(reason - 1) : KVM_EXIT_other;
}

/* @number: VMX's exit reason (SDM 3D C). Does not split EXIT_VMX_EXCEPTION_NMI. */
static inline enum kvm_exit_reason exit_reason_vmx(unsigned int number)
{
	return exit_look_up(exit_vmx_reasons, EXIT_VMX_MAX, number & EXIT_VMX_BASIC);
}

/*
 * @code: EXITCODE (APM 2 appendix C). Does not split EXIT_SVM_MSR and EXIT_SVM_NPF: these are rdmsr
 * and ept_violation.
 */
static inline enum kvm_exit_reason exit_reason_svm(unsigned int code)
{
	if (code == 0xffffffff) /* VMEXIT_INVALID, -1 */
		return KVM_EXIT_entry_failure;
	return exit_look_up(exit_svm_reasons, EXIT_SVM_MAX, code);
}

/* The slot of a time in nanoseconds, see EXIT_SLOT_COUNT. */
static inline unsigned int exit_slot(unsigned long long time)
{
	unsigned int slot = 0;

	time >>= EXIT_SLOT_SHIFT;
	if (time >= 1ULL << EXIT_SLOT_COUNT)
		return EXIT_SLOT_COUNT - 1;
	/* By halves: programs have no instruction that counts bits. */
	for (unsigned int bits = 16; bits; bits /= 2) {
		if (time >= 1ULL << bits) {
			slot += bits;
			time >>= bits;
		}
	}
	slot += (unsigned int)time;
	return slot < EXIT_SLOT_COUNT ? slot : EXIT_SLOT_COUNT - 1;
}

/* Whether the exit qualification of a CR access is that of a MOV to CR3 (SDM 3C table 28-3). */
static inline int exit_qualification_is_cr3_load(unsigned long long qualification)
{
	return (qualification & 0x3f) == 3;
}

#endif
