/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which programs are loaded for which kernel: with types of kernels that are not here, made up but
 * for their names, the kernel that is here takes them or not. And what they count of a vCPU that is
 * made up as well.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include <cmocka.h>

#include "collectors/kvm_exits_programs.h"

/* A member is of this size, or what is called so, which stands before it; 0, NULL: a pointer. */
struct member {
	const char *name;
	unsigned int offset; /* in bytes */
	unsigned int size;
	const char *type;
};

struct composite {
	const char *name;
	unsigned int size;
	struct member members[5];
};

#define POINTER(name, offset)                                                                      \
	{                                                                                          \
		name, offset, 0, NULL                                                              \
	}
#define NUMBER(name, offset, size)                                                                 \
	{                                                                                          \
		name, offset, size, NULL                                                           \
	}
#define PART(name, offset, type)                                                                   \
	{                                                                                          \
		name, offset, 0, type                                                              \
	}

/* What all kernels have. */
static const struct composite common[] = {
	{"qstr", 16, {NUMBER("hash", 0, 8), POINTER("name", 8)}},
	{"inode", 80, {NUMBER("i_ino", 64, 8)}},
	{"dentry", 64, {PART("d_name", 32, "qstr"), POINTER("d_inode", 48)}},
	{"task_struct", 64, {NUMBER("flags", 44, 4)}},
	{"kvm", 4096, {POINTER("debugfs_dentry", 4000)}},
	{"kvm_vcpu", 512, {POINTER("kvm", 0), NUMBER("vcpu_id", 100, 4)}},
	{"trace_event_raw_kvm_entry", 32, {NUMBER("vcpu_id", 8, 4), NUMBER("rip", 16, 8)}},
	{"vmx_exit_reason", 4, {NUMBER("full", 0, 4)}},
	{"vmcb_control_area", 192, {NUMBER("exit_code", 112, 4), NUMBER("exit_info_1", 120, 8)}},
	{"vmcb", 4096, {PART("control", 0, "vmcb_control_area")}},
};

static const struct composite record = {"trace_event_raw_kvm_exit",
					80,
					{NUMBER("exit_reason", 8, 4), NUMBER("isa", 24, 4),
					 NUMBER("info1", 32, 8), NUMBER("intr_info", 48, 4),
					 NUMBER("vcpu_id", 56, 4)}};
/* Until Linux 5.10. */
static const struct composite old_record = {
	"trace_event_raw_kvm_exit",
	48,
	{NUMBER("exit_reason", 8, 4), NUMBER("isa", 24, 4), NUMBER("info1", 32, 8)}};
static const struct composite vmx = {"vcpu_vmx",
				     1024,
				     {PART("exit_reason", 600, "vmx_exit_reason"),
				      NUMBER("exit_qualification", 608, 8),
				      NUMBER("exit_intr_info", 616, 4)}};
/* Since Linux 6.16. */
static const struct composite vt = {"vcpu_vt",
				    64,
				    {PART("exit_reason", 0, "vmx_exit_reason"),
				     NUMBER("exit_qualification", 8, 8),
				     NUMBER("exit_intr_info", 16, 4)}};
static const struct composite vmx_vt = {"vcpu_vmx", 1024, {PART("vt", 600, "vcpu_vt")}};
static const struct composite svm = {"vcpu_svm", 1024, {POINTER("vmcb", 600)}};
static const struct composite strange = {"vcpu_svm", 1024, {POINTER("block", 600)}};

static int type_of(struct btf *btf, const struct member *member)
{
	int id;

	if (!member->size && !member->type)
		return btf__add_ptr(btf, 0);
	if (!member->type)
		return btf__add_int(btf, "int", member->size, 0);
	id = btf__find_by_name_kind(btf, member->type, BTF_KIND_STRUCT);
	return id > 0 ? id : btf__find_by_name_kind(btf, member->type, BTF_KIND_UNION);
}

static void add(struct btf *btf, const struct composite *composite)
{
	int types[5] = {0};

	for (size_t i = 0; i < 5 && composite->members[i].name; i++) {
		types[i] = type_of(btf, &composite->members[i]);
		assert_true(types[i] > 0);
	}
	/* One of them is a union. */
	assert_true((strcmp(composite->name, "vmx_exit_reason") ? btf__add_struct : btf__add_union)(
			    btf, composite->name, composite->size) > 0);
	for (size_t i = 0; i < 5 && composite->members[i].name; i++)
		assert_int_equal(btf__add_field(btf, composite->members[i].name, types[i],
						composite->members[i].offset * 8, 0),
				 0);
}

static void add_tracepoint(struct btf *btf, const char *name, bool of_vcpu)
{
	char type[64];
	int vcpu = btf__find_by_name_kind(btf, "kvm_vcpu", BTF_KIND_STRUCT);
	int anything = btf__add_ptr(btf, 0), number = btf__add_int(btf, "int", 4, 0);
	int first = of_vcpu ? btf__add_ptr(btf, vcpu) : number;
	int proto = btf__add_func_proto(btf, 0);

	btf__add_func_param(btf, "data", anything);
	btf__add_func_param(btf, "first", first);
	snprintf(type, sizeof(type), "btf_trace_%s", name);
	assert_true(btf__add_typedef(btf, type, btf__add_ptr(btf, proto)) > 0);
}

/* A kernel whose tracepoints are those that this one has. */
struct kernel {
	const struct composite *vcpus[3]; /* and what is in them, before them */
	const struct composite *record;   /* NULL: KVM is a module, whose types are not told */
	bool old;                         /* kvm_exit's first argument is the reason */
	enum kvm_exits_way way, expected;
	const char *state; /* what it begins with */
};

static void make_file(const char *folder, const struct kernel *kernel)
{
	struct btf *btf = btf__new_empty();
	char path[128];
	const void *data;
	__u32 size;
	FILE *file;

	assert_non_null(btf);
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		add(btf, &common[i]);
	for (size_t i = 0; i < 3 && kernel->vcpus[i]; i++)
		add(btf, kernel->vcpus[i]);
	if (kernel->record) {
		add(btf, kernel->record);
		add_tracepoint(btf, "kvm_exit", !kernel->old);
		add_tracepoint(btf, "kvm_entry", true);
#define EVENT(metric, tracepoint) add_tracepoint(btf, #tracepoint, false);
		KVM_EXITS_EVENTS(EVENT)
#undef EVENT
	}
	data = btf__raw_data(btf, &size);
	assert_non_null(data);
	snprintf(path, sizeof(path), "%s/kernel/btf/vmlinux", folder);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	btf__free(btf);
}

static const char *const folders[] = {
	"",
	"/module",
	"/module/kvm",
	"/kernel",
	"/kernel/btf",
	"/devices",
	"/devices/virtual",
	"/devices/virtual/misc",
	"/devices/virtual/misc/kvm",
};
enum { FOLDERS = sizeof(folders) / sizeof(folders[0]) };

static void make_sys(char *sys, const struct kernel *kernel)
{
	char path[128];

	assert_non_null(mkdtemp(sys));
	for (size_t i = 1; i < FOLDERS; i++) {
		snprintf(path, sizeof(path), "%s%s", sys, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	make_file(sys, kernel);
}

static void remove_sys(const char *sys)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/kernel/btf/vmlinux", sys);
	remove(path);
	for (size_t i = FOLDERS; i-- > 0;) {
		snprintf(path, sizeof(path), "%s%s", sys, folders[i]);
		remove(path);
	}
}

/* Loads what @kernel can have into the one that is here. */
static void check(const struct kernel *kernel)
{
	char sys[] = "/tmp/umbra-kvm-exits-XXXXXX", state[COLLECTOR_STATE_MAX];
	struct kvm_exits_config config = {.roots = {"/proc", sys}, .way = kernel->way};
	struct kvm_exits_programs *programs;
	bool retry;

	make_sys(sys, kernel);
	programs = kvm_exits_load(&config, state, &retry);
	remove_sys(sys);
	assert_memory_equal(state, kernel->state, strlen(kernel->state));
	assert_non_null(programs);
	assert_int_equal(kvm_exits_way(programs), kernel->expected);
	for (size_t i = 0; i < KVM_EXITS_EVENT_COUNT; i++)
		assert_true(kvm_exits_counts(programs, (enum kvm_exits_event)i));
	kvm_exits_unload(programs);
}

/* Those of an ordinary user, or of a machine without KVM, are tested elsewhere. */
static void need_bpf(void)
{
	struct kvm_exits_config config = {.roots = {"/proc", "/sys"}};
	char why[COLLECTOR_STATE_MAX];
	bool retry;
	struct kvm_exits_programs *programs = kvm_exits_load(&config, why, &retry);

	if (!programs) {
		print_message("# SKIP %s\n", why);
		skip();
	}
	kvm_exits_unload(programs);
}

static void kernels_of_either_vendor_get_raw_tracepoints(void **state)
{
	const struct kernel kernels[] = {
		{{&vmx}, &record, false, KVM_EXITS_NO_WAY, KVM_EXITS_RAW, "ok"},
		{{&vt, &vmx_vt}, &record, false, KVM_EXITS_NO_WAY, KVM_EXITS_RAW, "ok"},
		{{&svm}, &record, false, KVM_EXITS_NO_WAY, KVM_EXITS_RAW, "ok"},
		{{&vmx, &svm}, &record, false, KVM_EXITS_NO_WAY, KVM_EXITS_RAW, "ok"},
	};

	need_bpf();
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
		check(&kernels[i]);
}

static void others_get_the_classic_tracepoint_and_are_told(void **state)
{
	const char *const told = "degraded: exits by the slower classic tracepoint: the programs";
	const struct kernel kernels[] = {
		{{&svm}, &old_record, true, KVM_EXITS_NO_WAY, KVM_EXITS_CLASSIC, told},
		{{&strange}, &record, false, KVM_EXITS_NO_WAY, KVM_EXITS_CLASSIC, told},
		{{&vmx, &strange}, &record, false, KVM_EXITS_NO_WAY, KVM_EXITS_CLASSIC, told},
		{{&vmx}, &record, false, KVM_EXITS_CLASSIC, KVM_EXITS_CLASSIC, "ok"},
	};

	need_bpf();
	if (access("/sys/kernel/tracing/events/kvm", F_OK) &&
	    access("/sys/kernel/debug/tracing/events/kvm", F_OK)) {
		print_message("# SKIP no tracefs\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
		check(&kernels[i]);
}

static void a_kernel_whose_exits_nothing_knows_still_has_the_rest(void **state)
{
	const struct kernel unknown = {
		{&strange},
		&record,
		false,
		KVM_EXITS_RAW,
		KVM_EXITS_NO_WAY,
		"degraded: no exits: the programs do not know this kernel's kvm_exit"};
	const struct kernel none = {{NULL},
				    &record,
				    false,
				    KVM_EXITS_NO_WAY,
				    KVM_EXITS_NO_WAY,
				    "degraded: no exits: neither kvm_intel nor kvm_amd"};

	need_bpf();
	check(&unknown);
	check(&none);
}

static void a_kernel_without_types_of_its_modules_is_told(void **state)
{
	const struct kernel untyped = {.record = NULL};
	char sys[] = "/tmp/umbra-kvm-exits-XXXXXX", why[COLLECTOR_STATE_MAX];
	const struct kvm_exits_config config = {.roots = {"/proc", sys}};
	bool retry;

	need_bpf();
	make_sys(sys, &untyped);
	assert_null(kvm_exits_load(&config, why, &retry));
	remove_sys(sys);
	assert_memory_equal(why, "unsupported: no types of KVM (", 30);
}

/* --- a vCPU ----------------------------------------------------------------------------------- */

/* As in `vmx`, `svm` and `common`; its VM is at NULL, where nothing can be read. */
enum { VCPU_ID = 100, EXIT_REASON = 600, QUALIFICATION = 608, INTR_INFO = 616, VCPU_SIZE = 4096 };
enum { VMCB_POINTER = 600, VMCB = 2048, EXIT_CODE = VMCB + 112, EXIT_INFO_1 = VMCB + 120 };
#define PAGE_FAULT (1U << 31 | 3 << 8 | 14)
#define BUS_LOCK   (1U << 26)

static const struct kernel intel = {{&vmx}, &record, false, KVM_EXITS_NO_WAY, KVM_EXITS_RAW, "ok"};

static const struct kernel amd = {{&svm}, &record, false, KVM_EXITS_NO_WAY, KVM_EXITS_RAW, "ok"};

static struct vcpu {
	unsigned char *memory; /* of the kernel's, and here */
	uint64_t address;      /* there */
	int map, exit, entry;  /* descriptors */
	cpu_set_t allowed;     /* before the test moved about */
} vcpu;

static void put(size_t offset, uint64_t value, size_t size)
{
	memcpy(vcpu.memory + offset, &value, size);
}

static void run(int program, const void *arguments, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = arguments, .ctx_size_in = (__u32)size);

	assert_int_equal(bpf_prog_test_run_opts(program, &options), 0);
}

/* The program of this process that is called so: the last, should a test have left its own. */
static int program_of(const char *name)
{
	for (int fd = 255; fd >= 0; fd--) {
		char path[64], target[64] = "";
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) > 0 &&
		    !strcmp(target, "anon_inode:bpf-prog") &&
		    !bpf_obj_get_info_by_fd(fd, &info, &size) && !strcmp(info.name, name))
			return fd;
	}
	fail();
	return -1;
}

/* A map's memory stands for the struct; where it is a program says, which may know. */
static void make_vcpu(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	struct bpf_insn tell[] = {
		{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE},
		{0},
		{.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int program;

	vcpu.map =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "vcpu", sizeof(__u32), VCPU_SIZE, 1, &options);
	assert_true(vcpu.map >= 0);
	vcpu.memory = mmap(NULL, VCPU_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.map, 0);
	assert_true(vcpu.memory != MAP_FAILED);
	tell[0].imm = vcpu.map;
	program = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "tell", "GPL", tell, 5, NULL);
	assert_true(program >= 0);
	run(program, NULL, 0);
	close(program);
	memcpy(&vcpu.address, vcpu.memory, sizeof(vcpu.address));
	assert_true(vcpu.address != 0);
	put(0, 0, sizeof(uint64_t));
	put(VCPU_ID, 3, sizeof(__u32));
	vcpu.exit = program_of("exit_raw");
	vcpu.entry = program_of("entry_raw");
	assert_int_equal(sched_getaffinity(0, sizeof(vcpu.allowed), &vcpu.allowed), 0);
}

static void free_vcpu(void)
{
	assert_int_equal(sched_setaffinity(0, sizeof(vcpu.allowed), &vcpu.allowed), 0);
	munmap(vcpu.memory, VCPU_SIZE);
	close(vcpu.map);
}

static void vm_exit(unsigned int reason)
{
	const uint64_t arguments[] = {vcpu.address, EXIT_ISA_VMX};

	put(EXIT_REASON, reason, sizeof(__u32));
	run(vcpu.exit, arguments, sizeof(arguments));
}

static void vm_entry(void)
{
	const uint64_t arguments[] = {vcpu.address, 0};

	run(vcpu.entry, arguments, sizeof(arguments));
}

static const struct kvm_exits_record *record_of(const struct kvm_exits_programs *programs)
{
	for (size_t slot = 0; slot < kvm_exits_room(programs); slot++) {
		const struct kvm_exits_record *found = kvm_exits_record(programs, slot);

		if (found->key == vcpu.address)
			return found;
	}
	fail();
	return NULL;
}

static struct kvm_exits_programs *load(const struct kernel *kernel)
{
	char sys[] = "/tmp/umbra-kvm-exits-XXXXXX", why[COLLECTOR_STATE_MAX];
	struct kvm_exits_config config = {.roots = {"/proc", sys}};
	struct kvm_exits_programs *programs;
	bool retry;

	need_bpf();
	make_sys(sys, kernel);
	programs = kvm_exits_load(&config, why, &retry);
	remove_sys(sys);
	assert_non_null(programs);
	make_vcpu();
	return programs;
}

/* The @nth CPU that the test may run on; false: there are fewer. */
static bool go_to(int nth)
{
	cpu_set_t set;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &vcpu.allowed) || nth--)
			continue;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		return !sched_setaffinity(0, sizeof(set), &set);
	}
	return false;
}

static void an_exit_is_counted_where_its_entry_is_on_another_cpu(void **state)
{
	struct kvm_exits_programs *programs = load(&intel);
	bool two = go_to(1);

	if (two) {
		/* This CPU had the vCPU last, with nothing left to ask. */
		vm_exit(10);
		vm_entry();
		assert_true(go_to(0));
		put(INTR_INFO, PAGE_FAULT, sizeof(__u32));
		vm_exit(0);
		assert_true(go_to(1));
		vm_entry();
		vm_exit(10);
		vm_entry();
		assert_int_equal(record_of(programs)->exits[KVM_EXIT_cpuid], 2);
		assert_int_equal(record_of(programs)->exits[KVM_EXIT_page_fault], 1);
	}
	free_vcpu();
	kvm_exits_unload(programs);
	if (!two) {
		print_message("# SKIP one CPU\n");
		skip();
	}
}

/* SDM 3C 25.9.1: a bus lock, enclave mode and others are told beside the reason. */
static void flags_beside_the_reason_change_nothing(void **state)
{
	struct kvm_exits_programs *programs = load(&intel);

	put(INTR_INFO, PAGE_FAULT, sizeof(__u32));
	vm_exit(BUS_LOCK | EXIT_VMX_EXCEPTION_NMI);
	vm_entry();
	put(QUALIFICATION, 3, sizeof(uint64_t));
	vm_exit(BUS_LOCK | EXIT_VMX_CR_ACCESS);
	vm_entry();
	assert_int_equal(record_of(programs)->exits[KVM_EXIT_exception], 0);
	assert_int_equal(record_of(programs)->exits[KVM_EXIT_page_fault], 1);
	assert_int_equal(record_of(programs)->exits[KVM_EXIT_cr_access], 1);
	assert_int_equal(record_of(programs)->cr3_loads, 1);
	free_vcpu();
	kvm_exits_unload(programs);
}

static void vm_exit_svm(uint64_t code, uint64_t info)
{
	const uint64_t arguments[] = {vcpu.address, EXIT_ISA_SVM};

	put(VMCB_POINTER, vcpu.address + VMCB, sizeof(uint64_t));
	put(EXIT_CODE, code, sizeof(__u32));
	put(EXIT_INFO_1, info, sizeof(uint64_t));
	run(vcpu.exit, arguments, sizeof(arguments));
}

/* APM 2 15.25.6: EXITINFO1 has the error code. KVM marks a device's memory by a reserved bit. */
static void what_svm_tells_beside_the_code_splits_its_exits(void **state)
{
	struct kvm_exits_programs *programs = load(&amd);
	const struct kvm_exits_record *of;

	vm_exit_svm(EXIT_SVM_NPF, 1ULL << 32 | 4);
	of = record_of(programs);
	assert_int_equal(of->exits[KVM_EXIT_ept_violation], 1);
	vm_exit_svm(EXIT_SVM_NPF, 1ULL << 32 | 0xd);
	assert_int_equal(of->exits[KVM_EXIT_ept_violation], 1);
	assert_int_equal(of->exits[KVM_EXIT_ept_misconfiguration], 1);
	vm_exit_svm(EXIT_SVM_MSR, 0);
	vm_exit_svm(EXIT_SVM_MSR, 1);
	assert_int_equal(of->exits[KVM_EXIT_rdmsr], 1);
	assert_int_equal(of->exits[KVM_EXIT_wrmsr], 1);
	/* Elsewhere that bit means something else. */
	vm_exit_svm(EXIT_SVM_WRITE_CR3, 8);
	assert_int_equal(of->exits[KVM_EXIT_cr_access], 1);
	assert_int_equal(of->cr3_loads, 1);
	free_vcpu();
	kvm_exits_unload(programs);
}

/* Whether the collector tells that this thread runs the vCPU. */
static bool tells_thread(void *collector)
{
	struct vcpu_thread threads[64];
	size_t nr = kvm_exits_threads(collector, threads, 64);
	bool told = false;

	for (size_t i = 0; i < nr; i++)
		told = told || (threads[i].pid == getpid() && threads[i].tid == gettid() &&
				threads[i].vcpu_id == 3);
	return told;
}

static void a_thread_is_told_until_discovery_has_it(void **state)
{
	char sys[] = "/tmp/umbra-kvm-exits-XXXXXX";
	const struct collector_settings settings = {.roots = {"/proc", sys}};
	const struct kvm_exits_config config = {.roots = settings.roots};
	struct vm_vcpu known = {.id = 3};
	struct vm vm = {.number = 1, .pid = getpid(), .fd = -1, .vcpus = &known};
	void *collector;

	need_bpf();
	make_sys(sys, &intel);
	collector = kvm_exits_create(&settings, &config);
	remove_sys(sys);
	assert_non_null(collector);
	make_vcpu();
	vm_exit(10);
	assert_true(tells_thread(collector));
	assert_false(tells_thread(collector));
	/* There was no VM, then no vCPU of it, then nobody who took its thread. */
	for (int i = 0; i < 3; i++) {
		if (i == 1)
			kvm_exits_collector.update(collector, &vm);
		vm.nr_vcpus = i == 2;
		kvm_exits_collector.begin(collector, 0);
		assert_true(tells_thread(collector));
		assert_false(tells_thread(collector));
	}
	known.tid = gettid();
	kvm_exits_collector.begin(collector, 0);
	assert_false(tells_thread(collector));
	free_vcpu();
	kvm_exits_collector.remove(collector, &vm);
	kvm_exits_collector.destroy(collector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels_of_either_vendor_get_raw_tracepoints),
		cmocka_unit_test(others_get_the_classic_tracepoint_and_are_told),
		cmocka_unit_test(a_kernel_whose_exits_nothing_knows_still_has_the_rest),
		cmocka_unit_test(a_kernel_without_types_of_its_modules_is_told),
		cmocka_unit_test(an_exit_is_counted_where_its_entry_is_on_another_cpu),
		cmocka_unit_test(flags_beside_the_reason_change_nothing),
		cmocka_unit_test(what_svm_tells_beside_the_code_splits_its_exits),
		cmocka_unit_test(a_thread_is_told_until_discovery_has_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
