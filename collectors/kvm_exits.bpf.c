/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts exits and the work of KVM's MMU. Raw tracepoints hand over the struct kvm_vcpu without
 * a record being made of it; the classic tracepoint of kvm_exit stands in where that cannot be
 * read. User space loads of these programs those that the kernel can have, and asks nothing of them
 * afterwards: it reads the records, which are shared memory.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "collectors/kernel_types.bpf.h"
#include "collectors/kvm_exits.h"

char LICENSE[] SEC("license") = "GPL";

/* Whether the time of exits is taken now. */
volatile _Bool timing;

struct block {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KVM_EXITS_BLOCK);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct kvm_exits_record));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, KVM_EXITS_BLOCKS_MAX);
	__type(key, __u32);
	__array(values, struct block);
} blocks SEC(".maps");

/* Slots that are free; user space adds those of new blocks and of VMs that are gone. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, KVM_EXITS_SLOTS_MAX);
	__type(value, __u32);
} free_slots SEC(".maps");

/* The slot of a record by its key, of a vCPU's thread by TID, of a process by PID. */
#define SLOTS_BY(name, type_of_key)                                                                \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(max_entries, KVM_EXITS_SLOTS_MAX);                                          \
		__type(key, type_of_key);                                                          \
		__type(value, __u32);                                                              \
	} name SEC(".maps")
SLOTS_BY(vcpus, __u64);
SLOTS_BY(threads, __u32);
SLOTS_BY(processes, __u32);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kvm_exits_cpu);
} cpus SEC(".maps");

static __always_inline struct kvm_exits_cpu *this_cpu(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cpus, &zero);
}

static __always_inline struct kvm_exits_record *record_of(__u32 slot)
{
	__u32 block = slot / KVM_EXITS_BLOCK, place = slot % KVM_EXITS_BLOCK;
	void *records = bpf_map_lookup_elem(&blocks, &block);

	return records ? bpf_map_lookup_elem(records, &place) : 0;
}

/*
 * The VM's folder in debugfs: its name tells VMs of one process apart, and its inode's number,
 * which is never used again, one VM from the next at the same address. NULL: not to be known.
 */
static __always_inline struct dentry *folder_of(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = 0;

	if (!vcpu || !bpf_core_field_exists(kvm->debugfs_dentry))
		return 0;
	return BPF_CORE_READ(vcpu, kvm, debugfs_dentry);
}

static __always_inline __u64 number_of(struct dentry *folder)
{
	return folder ? BPF_CORE_READ(folder, d_inode, i_ino) : 0;
}

/*
 * A record for what is new: of a vCPU (@vcpu may be NULL, with the classic tracepoint), or with
 * state KVM_EXITS_PROCESS of a process. NULL: there is no room, which is counted.
 */
static __noinline struct kvm_exits_record *claim(__u64 key, __u64 thread, int vcpu_id, __u32 state,
						 struct kvm_vcpu *vcpu)
{
	struct kvm_exits_cpu *cpu = this_cpu();
	struct kvm_exits_record *record = 0;
	__u32 slot, tid = thread, pid = thread >> 32;
	struct dentry *folder;
	long error;

	if (!cpu || bpf_map_pop_elem(&free_slots, &slot))
		goto lost;
	record = record_of(slot);
	if (!record)
		goto lost;
	if (state == KVM_EXITS_PROCESS) {
		error = bpf_map_update_elem(&processes, &pid, &slot, BPF_ANY);
	} else {
		error = bpf_map_update_elem(&vcpus, &key, &slot, BPF_ANY);
		bpf_map_update_elem(&threads, &tid, &slot, BPF_ANY);
	}
	if (error) {
		bpf_map_push_elem(&free_slots, &slot, BPF_ANY);
		goto lost;
	}
	record->key = key;
	record->thread = thread;
	record->vcpu_id = vcpu_id;
	record->name[0] = 0;
	folder = folder_of(vcpu);
	record->folder = number_of(folder);
	if (folder)
		bpf_probe_read_kernel_str(record->name, sizeof(record->name),
					  BPF_CORE_READ(folder, d_name.name));
	barrier();
	record->state = state;
	return record;
lost:
	if (cpu)
		cpu->lost++;
	return 0;
}

/*
 * The record of a vCPU that this CPU did not have last. An address is used again for another vCPU,
 * so what else is known of it must agree.
 */
static __noinline struct kvm_exits_record *find(__u64 key, __u64 thread, int vcpu_id,
						struct kvm_vcpu *vcpu)
{
	__u32 *slot = bpf_map_lookup_elem(&vcpus, &key), tid = thread;
	struct kvm_exits_record *record;

	record = slot ? record_of(*slot) : 0;
	if (!record || record->key != key || record->thread >> 32 != thread >> 32 ||
	    record->vcpu_id != vcpu_id || record->folder != number_of(folder_of(vcpu)))
		return claim(key, thread, vcpu_id, KVM_EXITS_VCPU, vcpu);
	if (record->thread != thread) {
		__u32 old = record->thread;

		bpf_map_delete_elem(&threads, &old);
		bpf_map_update_elem(&threads, &tid, slot, BPF_ANY);
		record->thread = thread;
	}
	return record;
}

/* The record of a vCPU that exits; it becomes this CPU's last. */
static __always_inline struct kvm_exits_record *vcpu_record(struct kvm_exits_cpu *cpu, __u64 key,
							    int vcpu_id, struct kvm_vcpu *vcpu)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct kvm_exits_record *record;
	__u32 *slot;

	if (cpu->key == key) {
		record = record_of(cpu->slot);
		if (record && record->key == key && record->thread == thread)
			return record;
	}
	if (vcpu)
		vcpu_id = BPF_CORE_READ(vcpu, vcpu_id);
	record = find(key, thread, vcpu_id, vcpu);
	slot = bpf_map_lookup_elem(&vcpus, &key);
	if (record && slot) {
		cpu->key = key;
		cpu->thread = thread;
		cpu->slot = *slot;
	}
	return record;
}

static __always_inline void exited(struct kvm_exits_record *record, __u64 reason, __u32 pending)
{
	barrier_var(reason); /* as in exit_look_up() */
	if (reason >= KVM_EXIT_REASON_COUNT)
		return;
	if (pending != KVM_EXITS_VECTOR)
		record->exits[reason]++;
	record->pending = pending;
	if (timing) {
		record->exit_reason = reason;
		record->exited_at = bpf_ktime_get_ns();
	} else {
		record->exited_at = 0;
	}
}

/* KVM has handled the exit: what it read of the processor for that is still in its own struct. */
static __always_inline void resolve(struct kvm_exits_record *record, struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx___vt *vt = (void *)vcpu;
	struct vcpu_vmx *vmx = (void *)vcpu;
	unsigned long qualification = 0;
	__u32 intr_info = 0, reason;

	if (record->pending == KVM_EXITS_VECTOR) {
		if (bpf_core_field_exists(vmx->exit_intr_info))
			intr_info = BPF_CORE_READ(vmx, exit_intr_info);
		else if (bpf_core_field_exists(vt->vt))
			intr_info = BPF_CORE_READ(vt, vt.exit_intr_info);
		reason = exit_reason_exception(intr_info);
		record->exits[reason]++;
		record->exit_reason = reason;
	} else {
		if (bpf_core_field_exists(vmx->exit_qualification))
			qualification = BPF_CORE_READ(vmx, exit_qualification);
		else if (bpf_core_field_exists(vt->vt))
			qualification = BPF_CORE_READ(vt, vt.exit_qualification);
		if (exit_qualification_is_cr3_load(qualification))
			record->cr3_loads++;
	}
	record->pending = KVM_EXITS_NOTHING;
}

static __always_inline void entered(struct kvm_exits_cpu *cpu, __u64 key, struct kvm_vcpu *vcpu)
{
	struct kvm_exits_record *record;
	__u32 slot = cpu->slot, reason, place;
	__u64 time;

	if (cpu->key != key) {
		__u32 *found = bpf_map_lookup_elem(&vcpus, &key);

		if (!found)
			return;
		slot = *found;
	}
	record = record_of(slot);
	if (!record || record->key != key)
		return;
	if (vcpu && record->pending)
		resolve(record, vcpu);
	if (!timing || !record->exited_at)
		return;
	time = bpf_ktime_get_ns() - record->exited_at;
	record->exited_at = 0;
	reason = record->exit_reason;
	place = exit_slot(time);
	if (reason >= KVM_EXIT_REASON_COUNT || place >= EXIT_SLOT_COUNT)
		return;
	record->time[reason] += time;
	record->slots[reason][place]++;
}

static __always_inline void exited_svm(struct kvm_exits_record *record, __u32 code, __u64 info1)
{
	__u32 reason = exit_reason_svm(code);

	if (code == EXIT_SVM_MSR && info1 & 1)
		reason = KVM_EXIT_wrmsr;
	if (code == EXIT_SVM_NPF && info1 & EXIT_SVM_NPF_RESERVED)
		reason = KVM_EXIT_ept_misconfiguration;
	if (code == EXIT_SVM_WRITE_CR3)
		record->cr3_loads++;
	exited(record, reason, KVM_EXITS_NOTHING);
}

SEC("raw_tp/kvm_exit")
int exit_raw(struct bpf_raw_tracepoint_args *context)
{
	struct kvm_vcpu *vcpu = (void *)context->args[0];
	struct vcpu_vmx___vt *vt = (void *)vcpu;
	struct vcpu_vmx *vmx = (void *)vcpu;
	struct vcpu_svm *svm = (void *)vcpu;
	struct kvm_exits_cpu *cpu = this_cpu();
	struct kvm_exits_record *record;

	record = cpu ? vcpu_record(cpu, (__u64)vcpu, 0, vcpu) : 0;
	if (!record)
		return 0;
	if ((__u32)context->args[1] == EXIT_ISA_SVM) {
		if (bpf_core_field_exists(svm->vmcb)) {
			struct vmcb *vmcb = BPF_CORE_READ(svm, vmcb);
			__u32 code = BPF_CORE_READ(vmcb, control.exit_code);
			__u64 info1 = 0;

			if (code == EXIT_SVM_MSR || code == EXIT_SVM_NPF)
				info1 = BPF_CORE_READ(vmcb, control.exit_info_1);
			exited_svm(record, code, info1);
		}
	} else {
		__u32 number = ~0U, pending = KVM_EXITS_NOTHING;

		if (bpf_core_field_exists(vmx->exit_reason))
			number = BPF_CORE_READ(vmx, exit_reason.full);
		else if (bpf_core_field_exists(vt->vt))
			number = BPF_CORE_READ(vt, vt.exit_reason.full);
		number &= EXIT_VMX_BASIC;
		if (number == EXIT_VMX_EXCEPTION_NMI)
			pending = KVM_EXITS_VECTOR;
		else if (number == EXIT_VMX_CR_ACCESS)
			pending = KVM_EXITS_QUALIFICATION;
		exited(record, exit_reason_vmx(number), pending);
	}
	return 0;
}

SEC("raw_tp/kvm_entry")
int entry_raw(struct bpf_raw_tracepoint_args *context)
{
	struct kvm_vcpu *vcpu = (void *)context->args[0];
	struct vcpu_vmx___vt *vt = (void *)vcpu;
	struct vcpu_vmx *vmx = (void *)vcpu;
	struct kvm_exits_cpu *cpu;

	/* Nothing is ever pending without VMX. */
	if (!timing && !bpf_core_field_exists(vmx->exit_reason) && !bpf_core_field_exists(vt->vt))
		return 0;
	cpu = this_cpu();
	if (cpu)
		entered(cpu, (__u64)vcpu, vcpu);
	return 0;
}

/* The classic tracepoints: a record says all, but not which VM of its process it is. */
static __always_inline __u64 classic_key(int vcpu_id)
{
	return bpf_get_current_pid_tgid() << 32 | (__u32)vcpu_id;
}

SEC("tp/kvm/kvm_exit")
int exit_classic(struct trace_event_raw_kvm_exit *context)
{
	int vcpu_id = bpf_core_field_exists(context->vcpu_id) ? (int)context->vcpu_id : -1;
	struct kvm_exits_cpu *cpu = this_cpu();
	struct kvm_exits_record *record;
	__u32 number, reason;

	record = cpu ? vcpu_record(cpu, classic_key(vcpu_id), vcpu_id, 0) : 0;
	if (!record)
		return 0;
	number = context->exit_reason;
	if (context->isa == EXIT_ISA_SVM) {
		exited_svm(record, number, context->info1);
		return 0;
	}
	number &= EXIT_VMX_BASIC;
	reason = exit_reason_vmx(number);
	if (number == EXIT_VMX_EXCEPTION_NMI && bpf_core_field_exists(context->intr_info))
		reason = exit_reason_exception(context->intr_info);
	if (number == EXIT_VMX_CR_ACCESS && exit_qualification_is_cr3_load(context->info1))
		record->cr3_loads++;
	exited(record, reason, KVM_EXITS_NOTHING);
	return 0;
}

SEC("tp/kvm/kvm_entry")
int entry_classic(struct trace_event_raw_kvm_entry *context)
{
	struct kvm_exits_cpu *cpu;

	if (!timing)
		return 0;
	cpu = this_cpu();
	if (cpu)
		entered(cpu, classic_key(context->vcpu_id), 0);
	return 0;
}

/*
 * Work of the MMU is that of the running thread: of a vCPU's, of another one of a process, or of
 * the kernel's own (recovery of huge pages, reclaim), which is nobody's.
 */
static __noinline int count(__u32 event)
{
	struct kvm_exits_cpu *cpu = this_cpu();
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 tid = thread, pid = thread >> 32, *slot;
	struct kvm_exits_record *record;
	struct task_struct *task;

	if (!cpu || event >= KVM_EXITS_EVENT_COUNT)
		return 0;
	slot = cpu->thread == thread ? &cpu->slot : bpf_map_lookup_elem(&threads, &tid);
	record = slot ? record_of(*slot) : 0;
	if (record && record->thread == thread && record->state == KVM_EXITS_VCPU) {
		record->events[event]++;
		return 0;
	}
	slot = bpf_map_lookup_elem(&processes, &pid);
	record = slot ? record_of(*slot) : 0;
	if (!record || record->thread != (__u64)pid << 32 || record->state != KVM_EXITS_PROCESS) {
		task = (void *)bpf_get_current_task();
		if (BPF_CORE_READ(task, flags) & PF_KTHREAD) {
			cpu->unattributed++;
			return 0;
		}
		record = claim(0, (__u64)pid << 32, -1, KVM_EXITS_PROCESS, 0);
	}
	if (record)
		__sync_fetch_and_add(&record->events[event], 1);
	return 0;
}

#define EVENT(metric, tracepoint)                                                                  \
	SEC("raw_tp/" #tracepoint)                                                                 \
	int metric(struct bpf_raw_tracepoint_args *context)                                        \
	{                                                                                          \
		count(EVENT_##metric);                                                             \
		/* Its second argument tells whether it was made. */                               \
		if (EVENT_##metric == EVENT_kvmmmu_pages_got && context->args[1] & 1)              \
			count(EVENT_kvmmmu_pages_made);                                            \
		return 0;                                                                          \
	}
KVM_EXITS_EVENTS(EVENT)
