/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "collectors/kvm_exits_programs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "collectors/host_file.h"
#include "collectors/kernel_btf.h"
#include "collectors/kvm_exits.skel.h"
#include "collectors/proc.h"

enum { BLOCKS_AT_LOAD = 4 };
#define BLOCK_SIZE ((size_t)KVM_EXITS_BLOCK * sizeof(struct kvm_exits_record))

struct kvm_exits_programs {
	struct kvm_exits_bpf *skeleton;
	enum kvm_exits_way way;
	bool sees_entries, counts[KVM_EXITS_EVENT_COUNT];
	size_t slots_max, blocks_count;
	struct kvm_exits_record *blocks[KVM_EXITS_BLOCKS_MAX];
	int stats; /* keeps the kernel taking the programs' time; -1 */
	int cpus;
};

static const struct {
	enum kvm_exits_event event;
	const char *program, *tracepoint;
} events[] = {
#define EVENT(metric, tracepoint) {EVENT_##metric, #metric, #tracepoint},
	KVM_EXITS_EVENTS(EVENT)
#undef EVENT
};
enum { EVENTS = sizeof(events) / sizeof(events[0]) };

/* The first thing that libbpf complained of, for the state; libbpf has but one log. */
static char complaint[160];

__attribute__((format(printf, 2, 0))) static int take_log(enum libbpf_print_level level,
							  const char *format, va_list arguments)
{
	if (level != LIBBPF_WARN || complaint[0])
		return 0;
	vsnprintf(complaint, sizeof(complaint), format, arguments);
	complaint[strcspn(complaint, "\n")] = '\0';
	return 0;
}

/*
 * Where a vCPU keeps why it exited: of each vendor's module that there is one of the pairs. With
 * one of the structs and none of its members the kernel is newer than the programs.
 */
static const struct {
	const char *vcpu, *members[2];
} vendors[] = {
	{"vcpu_vmx", {"exit_reason", "vt"}},
	{"vcpu_svm", {"vmcb", "vmcb"}},
};
enum { VENDORS = sizeof(vendors) / sizeof(vendors[0]) };

static bool has_vendor(const struct kernel_btf *btf)
{
	bool any = false;

	for (size_t i = 0; i < VENDORS; i++)
		any = any || kernel_btf_has_struct(btf, vendors[i].vcpu, NULL);
	return any;
}

static bool knows_vendors(const struct kernel_btf *btf)
{
	bool all = true;

	for (size_t i = 0; i < VENDORS; i++)
		all = all && (!kernel_btf_has_struct(btf, vendors[i].vcpu, NULL) ||
			      kernel_btf_has_struct(btf, vendors[i].vcpu, vendors[i].members[0]) ||
			      kernel_btf_has_struct(btf, vendors[i].vcpu, vendors[i].members[1]));
	return all;
}

/* What this kernel has of what the programs want. */
static void probe(const struct kernel_btf *btf, struct kvm_exits_programs *programs,
		  enum kvm_exits_way wanted)
{
	bool raw = wanted != KVM_EXITS_CLASSIC && knows_vendors(btf) &&
		   kernel_btf_has_tracepoint(btf, "kvm_exit", "kvm_vcpu");
	bool classic = wanted != KVM_EXITS_RAW &&
		       kernel_btf_has_struct(btf, "trace_event_raw_kvm_exit", "exit_reason");

	if (has_vendor(btf) && raw) {
		programs->way = KVM_EXITS_RAW;
		programs->sees_entries = kernel_btf_has_tracepoint(btf, "kvm_entry", "kvm_vcpu");
	} else if (has_vendor(btf) && classic) {
		programs->way = KVM_EXITS_CLASSIC;
		programs->sees_entries =
			kernel_btf_has_struct(btf, "trace_event_raw_kvm_entry", "vcpu_id");
	}
	for (size_t i = 0; i < EVENTS; i++)
		programs->counts[events[i].event] =
			kernel_btf_has_tracepoint(btf, events[i].tracepoint, NULL);
}

static int open_and_load(struct kvm_exits_programs *programs, const char *btf_path)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = btf_path);
	struct kvm_exits_bpf *skeleton = kvm_exits_bpf__open_opts(&options);
	bool raw = programs->way == KVM_EXITS_RAW, classic = programs->way == KVM_EXITS_CLASSIC;
	int error;

	if (!skeleton)
		return -errno;
	bpf_program__set_autoload(skeleton->progs.exit_raw, raw);
	bpf_program__set_autoload(skeleton->progs.entry_raw, raw && programs->sees_entries);
	bpf_program__set_autoload(skeleton->progs.exit_classic, classic);
	bpf_program__set_autoload(skeleton->progs.entry_classic, classic && programs->sees_entries);
	for (size_t i = 0; i < EVENTS; i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(skeleton->obj, events[i].program);

		bpf_program__set_autoload(program, programs->counts[events[i].event]);
	}
	error = kvm_exits_bpf__load(skeleton);
	if (error) {
		kvm_exits_bpf__destroy(skeleton);
		return error;
	}
	programs->skeleton = skeleton;
	return 0;
}

/* The cheapest way of seeing exits first, then the other, then none. */
static int load(struct kvm_exits_programs *programs, const struct kernel_btf *btf,
		enum kvm_exits_way wanted)
{
	struct kvm_exits_bpf *skeleton = kvm_exits_bpf__open();
	int fd = skeleton ? kernel_btf_extract(btf, bpf_object__btf(skeleton->obj)) : -1;
	char path[64];
	int error = errno;

	kvm_exits_bpf__destroy(skeleton);
	if (fd < 0)
		return -error;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	probe(btf, programs, wanted);
	error = open_and_load(programs, path);
	if (error && error != -EPERM && programs->way == KVM_EXITS_RAW && wanted != KVM_EXITS_RAW) {
		programs->way = KVM_EXITS_CLASSIC;
		error = open_and_load(programs, path);
	}
	if (error && error != -EPERM && programs->way != KVM_EXITS_NO_WAY) {
		programs->way = KVM_EXITS_NO_WAY;
		programs->sees_entries = false;
		error = open_and_load(programs, path);
	}
	close(fd);
	return error;
}

/* Attaches one program; false if the kernel does not let it. */
static bool attach(struct bpf_program *program, struct bpf_link **link)
{
	*link = bpf_program__attach(program);
	return *link != NULL;
}

static void attach_all(struct kvm_exits_programs *programs, char state[COLLECTOR_STATE_MAX])
{
	struct kvm_exits_bpf *skeleton = programs->skeleton;
	bool raw = programs->way == KVM_EXITS_RAW;

	if (programs->sees_entries &&
	    !(raw ? attach(skeleton->progs.entry_raw, &skeleton->links.entry_raw)
		  : attach(skeleton->progs.entry_classic, &skeleton->links.entry_classic))) {
		programs->sees_entries = false;
		collector_degrade(state, "kvm_entry: %s", strerror(errno));
	}
	if (programs->way != KVM_EXITS_NO_WAY &&
	    !(raw ? attach(skeleton->progs.exit_raw, &skeleton->links.exit_raw)
		  : attach(skeleton->progs.exit_classic, &skeleton->links.exit_classic))) {
		programs->way = KVM_EXITS_NO_WAY;
		programs->sees_entries = false;
		collector_degrade(state, "kvm_exit: %s", strerror(errno));
	}
	for (size_t i = 0; i < EVENTS; i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(skeleton->obj, events[i].program);
		struct bpf_link **link = NULL;

		for (int j = 0; j < skeleton->skeleton->prog_cnt; j++) {
			if (*skeleton->skeleton->progs[j].prog == program)
				link = skeleton->skeleton->progs[j].link;
		}
		if (!programs->counts[events[i].event]) {
			collector_degrade(state, "no tracepoint %s", events[i].tracepoint);
		} else if (!link || !attach(program, link)) {
			programs->counts[events[i].event] = false;
			collector_degrade(state, "%s: %s", events[i].tracepoint, strerror(errno));
		}
	}
	programs->counts[EVENT_kvmmmu_pages_made] = programs->counts[EVENT_kvmmmu_pages_got];
}

static bool attached_any(const struct kvm_exits_programs *programs)
{
	bool any = programs->way != KVM_EXITS_NO_WAY;

	for (size_t i = 0; i < KVM_EXITS_EVENT_COUNT; i++)
		any = any || programs->counts[i];
	return any;
}

/* Why there are no exits, where that is the host's and not a fault. */
static void tell_of_exits(const struct kvm_exits_programs *programs, const struct kernel_btf *btf,
			  enum kvm_exits_way wanted, char state[COLLECTOR_STATE_MAX])
{
	if (programs->way == KVM_EXITS_NO_WAY && !has_vendor(btf))
		collector_degrade(state,
				  "no exits: neither kvm_intel nor kvm_amd runs this host's VMs");
	else if (programs->way == KVM_EXITS_NO_WAY)
		collector_degrade(state,
				  "no exits: the programs do not know this kernel's kvm_exit%s%s",
				  complaint[0] ? ": " : "", complaint);
	else if (programs->way != wanted && programs->way == KVM_EXITS_CLASSIC)
		collector_degrade(state, "exits by the slower classic tracepoint: %s",
				  complaint[0] ? complaint
					       : "the programs do not know this kernel's vCPUs");
	else if (!programs->sees_entries)
		collector_degrade(state, "no time of exits: no kvm_entry");
}

/* What stands against it before anything is tried; false: something does. */
static bool may_load(const struct collector_roots *roots, char state[COLLECTOR_STATE_MAX],
		     bool *ret_retry)
{
	char lockdown[32];

	*ret_retry = false;
	if (!host_file_exists(roots->sys, "module/kvm") &&
	    !host_file_exists(roots->sys, "class/misc/kvm") &&
	    !host_file_exists(roots->sys, "devices/virtual/misc/kvm")) {
		*ret_retry = true;
		snprintf(state, COLLECTOR_STATE_MAX, "unsupported: KVM is not loaded");
		return false;
	}
	/* /dev/kvm is there once the processor's own module is. */
	if (!host_file_exists(roots->sys, "devices/virtual/misc/kvm")) {
		*ret_retry = true;
		snprintf(state, COLLECTOR_STATE_MAX,
			 "unsupported: KVM has no module for this processor loaded");
		return false;
	}
	host_read_choice(roots->sys, "kernel/security/lockdown", lockdown, sizeof(lockdown));
	if (!strcmp(lockdown, "confidentiality")) {
		snprintf(state, COLLECTOR_STATE_MAX,
			 "denied: the kernel is locked down (confidentiality)");
		return false;
	}
	if (proc_has_own_namespace(roots->proc)) {
		snprintf(state, COLLECTOR_STATE_MAX,
			 "unsupported: not in the host's PID namespace, whose PIDs the kernel "
			 "tells");
		return false;
	}
	return true;
}

static void tell_error(int error, char state[COLLECTOR_STATE_MAX])
{
	if (error == -EPERM)
		snprintf(state, COLLECTOR_STATE_MAX,
			 "denied: the kernel wants CAP_BPF and CAP_PERFMON for BPF programs");
	else
		snprintf(state, COLLECTOR_STATE_MAX,
			 "unsupported: the kernel takes no program: %s%s%s", strerror(-error),
			 complaint[0] ? ": " : "", complaint);
}

struct kvm_exits_programs *kvm_exits_load(const struct kvm_exits_config *config,
					  char ret_state[COLLECTOR_STATE_MAX], bool *ret_retry)
{
	struct kvm_exits_programs *programs;
	struct kernel_btf *btf;
	int error;

	if (!may_load(&config->roots, ret_state, ret_retry))
		return NULL;
	complaint[0] = '\0';
	libbpf_set_print(take_log);
	btf = kernel_btf_open(config->roots.sys);
	programs = calloc(1, sizeof(*programs));
	if (!btf || !programs) {
		snprintf(ret_state, COLLECTOR_STATE_MAX,
			 "unsupported: no types of the kernel (%s/kernel/btf/vmlinux): %s",
			 config->roots.sys, strerror(btf ? ENOMEM : errno));
		goto fail;
	}
	programs->stats = -1;
	if (!kernel_btf_has_tracepoint(btf, "kvm_exit", NULL)) {
		snprintf(ret_state, COLLECTOR_STATE_MAX,
			 "unsupported: no types of KVM (%s/kernel/btf/kvm): Linux tells those of "
			 "modules from 5.11 on",
			 config->roots.sys);
		goto fail;
	}
	programs->cpus = libbpf_num_possible_cpus();
	programs->slots_max = config->slots_max && config->slots_max < KVM_EXITS_SLOTS_MAX
				      ? config->slots_max
				      : KVM_EXITS_SLOTS_MAX;
	error = programs->cpus < 0 ? programs->cpus : load(programs, btf, config->way);
	if (error) {
		tell_error(error, ret_state);
		goto fail;
	}
	kvm_exits_add_room(programs, (size_t)BLOCKS_AT_LOAD * KVM_EXITS_BLOCK);
	snprintf(ret_state, COLLECTOR_STATE_MAX, "ok");
	tell_of_exits(programs, btf, config->way, ret_state);
	attach_all(programs, ret_state);
	if (!programs->blocks_count || !attached_any(programs)) {
		memmove(ret_state, "unsupported: nothing could be attached",
			sizeof("unsupported: nothing could be attached"));
		goto fail;
	}
	kernel_btf_close(btf);
	return programs;
fail:
	kernel_btf_close(btf);
	kvm_exits_unload(programs);
	return NULL;
}

void kvm_exits_unload(struct kvm_exits_programs *programs)
{
	if (!programs)
		return;
	kvm_exits_set_timing(programs, false);
	kvm_exits_bpf__destroy(programs->skeleton);
	for (size_t i = 0; i < programs->blocks_count; i++)
		munmap(programs->blocks[i], BLOCK_SIZE);
	free(programs);
}

enum kvm_exits_way kvm_exits_way(const struct kvm_exits_programs *programs)
{
	return programs->way;
}

bool kvm_exits_sees_entries(const struct kvm_exits_programs *programs)
{
	return programs->sees_entries;
}

bool kvm_exits_counts(const struct kvm_exits_programs *programs, enum kvm_exits_event event)
{
	return programs->counts[event];
}

/* The programs' own time is taken together with that of exits: it costs two looks at the clock a
 * run. */
void kvm_exits_set_timing(struct kvm_exits_programs *programs, bool timing)
{
	if (!programs->skeleton || programs->skeleton->bss->timing == timing)
		return;
	if (timing) {
		programs->stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	} else if (programs->stats >= 0) {
		close(programs->stats);
		programs->stats = -1;
	}
	programs->skeleton->bss->timing = timing;
}

size_t kvm_exits_room(const struct kvm_exits_programs *programs)
{
	size_t slots = programs->blocks_count * KVM_EXITS_BLOCK;

	return slots < programs->slots_max ? slots : programs->slots_max;
}

static bool add_block(struct kvm_exits_programs *programs)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int outer = bpf_map__fd(programs->skeleton->maps.blocks);
	int free_slots = bpf_map__fd(programs->skeleton->maps.free_slots);
	__u32 block = (__u32)programs->blocks_count, slot;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kvm_exits_block", sizeof(__u32),
				sizeof(struct kvm_exits_record), KVM_EXITS_BLOCK, &options);
	void *records;

	if (fd < 0)
		return false;
	records = mmap(NULL, BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (records == MAP_FAILED || bpf_map_update_elem(outer, &block, &fd, BPF_ANY)) {
		if (records != MAP_FAILED)
			munmap(records, BLOCK_SIZE);
		close(fd);
		return false;
	}
	close(fd); /* the outer map and the mapping keep it */
	programs->blocks[block] = records;
	programs->blocks_count++;
	for (slot = block * KVM_EXITS_BLOCK; slot < kvm_exits_room(programs); slot++)
		bpf_map_update_elem(free_slots, NULL, &slot, BPF_ANY);
	return true;
}

void kvm_exits_add_room(struct kvm_exits_programs *programs, size_t records)
{
	while (kvm_exits_room(programs) < records &&
	       kvm_exits_room(programs) < programs->slots_max && add_block(programs))
		;
}

static struct kvm_exits_record *record(const struct kvm_exits_programs *programs, size_t slot)
{
	return &programs->blocks[slot / KVM_EXITS_BLOCK][slot % KVM_EXITS_BLOCK];
}

const struct kvm_exits_record *kvm_exits_record(const struct kvm_exits_programs *programs,
						size_t slot)
{
	return record(programs, slot);
}

/* Deletes the way to the slot from @map, unless it leads to another one by now. */
static void forget(const struct bpf_map *map, const void *key, __u32 slot)
{
	__u32 now;

	if (!bpf_map_lookup_elem(bpf_map__fd(map), key, &now) && now == slot)
		bpf_map_delete_elem(bpf_map__fd(map), key);
}

bool kvm_exits_claim(struct kvm_exits_programs *programs, pid_t pid, pid_t tid, int vcpu_id,
		     size_t *slot)
{
	int threads = bpf_map__fd(programs->skeleton->maps.threads);
	int free_slots = bpf_map__fd(programs->skeleton->maps.free_slots);
	__u32 key = (__u32)tid, number = (__u32)*slot;
	struct kvm_exits_record *claimed;

	if (*slot == kvm_exits_room(programs) &&
	    bpf_map_lookup_and_delete_elem(free_slots, NULL, &number))
		return false;
	*slot = number;
	claimed = record(programs, number);
	if (claimed->thread) {
		__u32 old = (__u32)claimed->thread;

		forget(programs->skeleton->maps.threads, &old, number);
	}
	claimed->vcpu_id = vcpu_id;
	claimed->thread = (unsigned long long)pid << 32 | (__u32)tid;
	__atomic_store_n(&claimed->state, KVM_EXITS_VCPU, __ATOMIC_RELEASE);
	/* One that finds no place is counted with its process. */
	bpf_map_update_elem(threads, &key, &number, BPF_ANY);
	return true;
}

void kvm_exits_free(struct kvm_exits_programs *programs, size_t slot)
{
	struct kvm_exits_record *gone = record(programs, slot);
	__u32 number = (__u32)slot, tid = (__u32)gone->thread, pid = (__u32)(gone->thread >> 32);

	forget(programs->skeleton->maps.vcpus, &gone->key, number);
	forget(programs->skeleton->maps.threads, &tid, number);
	forget(programs->skeleton->maps.processes, &pid, number);
	memset(gone, 0, sizeof(*gone));
	bpf_map_update_elem(bpf_map__fd(programs->skeleton->maps.free_slots), NULL, &number,
			    BPF_ANY);
}

void kvm_exits_own(const struct kvm_exits_programs *programs, struct collector_own *ret)
{
	struct kvm_exits_cpu *cpus = calloc((size_t)programs->cpus, sizeof(*cpus));
	struct bpf_program *program;
	__u32 zero = 0;

	if (cpus && !bpf_map_lookup_elem(bpf_map__fd(programs->skeleton->maps.cpus), &zero, cpus)) {
		ret->has_lost = true;
		for (int i = 0; i < programs->cpus; i++) {
			ret->lost += cpus[i].lost;
			ret->unattributed += cpus[i].unattributed;
		}
	}
	free(cpus);
	bpf_object__for_each_program(program, programs->skeleton->obj)
	{
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);

		if (bpf_program__fd(program) < 0 ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
			continue;
		ret->run_time_ns += info.run_time_ns;
		ret->run_count += info.run_cnt;
	}
	ret->has_runs = ret->run_count > 0;
}
