/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs read of the kernel's types, and nothing more: where the members really are is
 * put in when the programs are loaded (CO-RE), from the kernel's own BTF. What only some kernels
 * have is asked for with bpf_core_field_exists().
 */
#ifndef COLLECTORS_KERNEL_TYPES_BPF_H
#define COLLECTORS_KERNEL_TYPES_BPF_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
	const unsigned char *name;
};

struct inode {
	unsigned long i_ino;
};

struct dentry {
	struct qstr d_name;
	struct inode *d_inode;
};

struct task_struct {
	unsigned int flags;
};

struct kvm {
	struct dentry *debugfs_dentry; /* PID-FD */
};

struct kvm_vcpu {
	struct kvm *kvm;
	int vcpu_id;
};

/* SVM. Its first member is the struct kvm_vcpu. */
struct vmcb_control_area {
	__u32 exit_code;
	__u64 exit_info_1;
};

struct vmcb {
	struct vmcb_control_area control;
};

struct vcpu_svm {
	struct vmcb *vmcb;
};

/* VMX, likewise. */
union vmx_exit_reason {
	__u32 full;
};

struct vcpu_vmx {
	union vmx_exit_reason exit_reason;
	unsigned long exit_qualification;
	__u32 exit_intr_info;
};

/* Since 6.16 what VMX and TDX share is a struct of its own. */
struct vcpu_vt {
	union vmx_exit_reason exit_reason;
	unsigned long exit_qualification;
	__u32 exit_intr_info;
};

struct vcpu_vmx___vt {
	struct vcpu_vt vt;
};

/* Records of the classic tracepoints. */
struct trace_event_raw_kvm_exit {
	unsigned int exit_reason;
	__u32 isa;
	__u64 info1;
	__u32 intr_info;      /* since 5.11 */
	unsigned int vcpu_id; /* since 5.10 */
};

struct trace_event_raw_kvm_entry {
	unsigned int vcpu_id;
};

#pragma clang attribute pop

/* Of task_struct.flags; the same in all kernels since 3.10. */
#define PF_KTHREAD 0x00200000

#endif
