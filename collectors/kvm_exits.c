/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF programs' records, joined with the VMs that discovery found. A record of a vCPU is the
 * VM's whose owner and folder in debugfs it names; where the name is not known, by the thread that
 * runs the vCPU, or because the owner has but one VM. What a process's other threads did is added
 * up here, round by round, for its VM if it has just one; else, as for threads of the kernel, it is
 * nobody's.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/kvm_exits_programs.h"

enum {
	NANOSECONDS = 1000000000,
	RETRY_SECONDS = 5,
	/* Records of what is no VM's stay so long, for discovery may be late. */
	ROUNDS_UNKNOWN = 10,
	ROOM_SPARE = 64,
};

struct watched {
	const struct vm *vm; /* the caller's, to its removal */
	size_t *slots;
	size_t nr_slots, room;
	uint64_t events[KVM_EXITS_EVENT_COUNT]; /* of threads that run no vCPU */
};

/* What is known here of a slot. */
struct place {
	struct watched *vm;
	unsigned long long told; /* the thread, to kvm_exits_threads() */
	unsigned int rounds;     /* without a VM */
	uint64_t events[KVM_EXITS_EVENT_COUNT];
};

struct kvm_exits {
	struct kvm_exits_config config;
	unsigned int timing_seconds, timing_period;
	struct kvm_exits_programs *programs; /* NULL: see the state */
	char state[COLLECTOR_STATE_MAX];
	bool retry;
	uint64_t retry_at;
	struct watched **vms;
	size_t nr_vms, room;
	struct place *places;
	size_t nr_places;
	uint64_t unattributed; /* counted in records that no VM had */
};

static uint64_t read_count(const unsigned long long *count)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static unsigned int state_of(const struct kvm_exits_record *record)
{
	return __atomic_load_n(&record->state, __ATOMIC_ACQUIRE);
}

static void load(struct kvm_exits *self)
{
	self->programs = kvm_exits_load(&self->config, self->state, &self->retry);
}

void *kvm_exits_create(const struct collector_settings *settings,
		       const struct kvm_exits_config *config)
{
	struct kvm_exits *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->config = *config;
	self->timing_seconds = settings->timing_seconds;
	self->timing_period = settings->timing_period;
	load(self);
	return self;
}

static void *create(const struct collector_settings *settings)
{
	const struct kvm_exits_config config = {.roots = settings->roots};

	return kvm_exits_create(settings, &config);
}

static void destroy(void *pointer)
{
	struct kvm_exits *self = pointer;

	kvm_exits_unload(self->programs);
	for (size_t i = 0; i < self->nr_vms; i++) {
		free(self->vms[i]->slots);
		free(self->vms[i]);
	}
	free(self->vms);
	free(self->places);
	free(self);
}

static struct watched *find(const struct kvm_exits *self, const struct vm *vm)
{
	for (size_t i = 0; i < self->nr_vms; i++) {
		if (self->vms[i]->vm == vm)
			return self->vms[i];
	}
	return NULL;
}

/* The only VM of a process; NULL: it has none, or several. */
static struct watched *only(const struct kvm_exits *self, pid_t pid)
{
	struct watched *found = NULL;

	for (size_t i = 0; i < self->nr_vms; i++) {
		if (self->vms[i]->vm->pid != pid)
			continue;
		if (found)
			return NULL;
		found = self->vms[i];
	}
	return found;
}

static bool runs(const struct vm *vm, const struct kvm_exits_record *record)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].tid == (pid_t)record->thread && vm->vcpus[i].id == record->vcpu_id)
			return true;
	}
	return false;
}

/* The descriptor in PID-FD; -1: there is none. */
static int fd_of(const char name[KVM_EXITS_NAME_MAX])
{
	const char *dash = memchr(name, '-', KVM_EXITS_NAME_MAX);
	char *end;
	long fd;

	if (!dash || !memchr(name, '\0', KVM_EXITS_NAME_MAX))
		return -1;
	fd = strtol(dash + 1, &end, 10);
	return end != dash + 1 && !*end && fd >= 0 && fd <= INT32_MAX ? (int)fd : -1;
}

/* The VM of a vCPU's record. */
static struct watched *owner(const struct kvm_exits *self, const struct kvm_exits_record *record)
{
	pid_t pid = (pid_t)(record->thread >> 32);
	int fd = fd_of(record->name);

	for (size_t i = 0; i < self->nr_vms; i++) {
		const struct vm *vm = self->vms[i]->vm;

		if (vm->pid == pid && (fd >= 0 && vm->fd >= 0 ? vm->fd == fd : runs(vm, record)))
			return self->vms[i];
	}
	/* With both descriptors known it is a VM that discovery has not told yet. */
	return only(self, pid) && (fd < 0 || only(self, pid)->vm->fd < 0) ? only(self, pid) : NULL;
}

static bool add_slot(struct watched *vm, size_t slot)
{
	if (vm->nr_slots == vm->room) {
		size_t room = vm->room ? 2 * vm->room : 8;
		size_t *slots = realloc(vm->slots, room * sizeof(*slots));

		if (!slots)
			return false;
		vm->slots = slots;
		vm->room = room;
	}
	vm->slots[vm->nr_slots++] = slot;
	return true;
}

/* What happened in a process's other threads since the last round. */
static void take_process(struct kvm_exits *self, struct place *place,
			 const struct kvm_exits_record *record)
{
	struct watched *vm = only(self, (pid_t)(record->thread >> 32));
	bool moved = false;

	for (size_t i = 0; i < KVM_EXITS_EVENT_COUNT; i++) {
		uint64_t now = read_count(&record->events[i]);

		*(vm ? &vm->events[i] : &self->unattributed) += now - place->events[i];
		moved = moved || now != place->events[i];
		place->events[i] = now;
	}
	place->rounds = vm || moved ? 0 : place->rounds + 1;
}

static void take_vcpu(struct kvm_exits *self, size_t slot, struct place *place,
		      const struct kvm_exits_record *record)
{
	struct watched *vm = owner(self, record);

	if (vm && add_slot(vm, slot)) {
		place->vm = vm;
		place->rounds = 0;
	} else {
		place->rounds++;
	}
}

/*
 * Where exits are not seen nothing tells which thread runs a vCPU but discovery. Then the programs
 * are told, so that what its threads do is the VM's even where the process has several.
 */
static void claim_threads(struct kvm_exits *self, struct watched *vm)
{
	for (size_t i = 0; i < vm->vm->nr_vcpus; i++) {
		const struct vm_vcpu *vcpu = &vm->vm->vcpus[i];
		size_t room = kvm_exits_room(self->programs), slot = room;

		for (size_t j = 0; j < vm->nr_slots && slot == room; j++) {
			if (kvm_exits_record(self->programs, vm->slots[j])->vcpu_id == vcpu->id)
				slot = vm->slots[j];
		}
		if (!vcpu->tid ||
		    (slot < room && kvm_exits_record(self->programs, slot)->thread ==
					    ((uint64_t)vm->vm->pid << 32 | (uint32_t)vcpu->tid)))
			continue;
		if (!kvm_exits_claim(self->programs, vm->vm->pid, vcpu->tid, vcpu->id, &slot))
			return;
		if (slot < self->nr_places && self->places[slot].vm != vm && add_slot(vm, slot)) {
			self->places[slot].vm = vm;
			self->places[slot].told = kvm_exits_record(self->programs, slot)->thread;
		}
	}
}

/* What no VM had of a vCPU's record; a process's is taken round by round. */
static uint64_t left_over(const struct kvm_exits_record *record)
{
	uint64_t sum = 0;

	if (state_of(record) != KVM_EXITS_VCPU)
		return 0;
	for (size_t i = 0; i < KVM_EXIT_REASON_COUNT; i++)
		sum += read_count(&record->exits[i]);
	for (size_t i = 0; i < KVM_EXITS_EVENT_COUNT; i++)
		sum += read_count(&record->events[i]);
	return sum;
}

static void free_slot(struct kvm_exits *self, size_t slot)
{
	self->places[slot] = (struct place){0};
	kvm_exits_free(self->programs, slot);
}

/* Makes the places as many as there are slots. */
static void follow_room(struct kvm_exits *self)
{
	size_t room = kvm_exits_room(self->programs);
	struct place *places;

	if (room <= self->nr_places)
		return;
	places = realloc(self->places, room * sizeof(*places));
	if (!places)
		return;
	memset(places + self->nr_places, 0, (room - self->nr_places) * sizeof(*places));
	self->places = places;
	self->nr_places = room;
}

/* Joins what is new, forgets what is nobody's, and keeps room for as much again as there is. */
static void take_records(struct kvm_exits *self)
{
	size_t used = 0, expected = 0;

	follow_room(self);
	for (size_t slot = 0; slot < self->nr_places; slot++) {
		const struct kvm_exits_record *record = kvm_exits_record(self->programs, slot);
		struct place *place = &self->places[slot];
		unsigned int state = state_of(record);

		if (state == KVM_EXITS_FREE)
			continue;
		used++;
		if (state == KVM_EXITS_PROCESS)
			take_process(self, place, record);
		else if (!place->vm)
			take_vcpu(self, slot, place, record);
		/* Discovery may not have had the VM or the vCPU yet when it was told. */
		if (state == KVM_EXITS_VCPU && !(place->vm && runs(place->vm->vm, record)))
			place->told = 0;
		if (place->rounds <= ROUNDS_UNKNOWN)
			continue;
		self->unattributed += left_over(record);
		free_slot(self, slot);
	}
	for (size_t i = 0; i < self->nr_vms; i++)
		expected += self->vms[i]->vm->nr_vcpus + 1;
	for (size_t i = 0; i < self->nr_vms; i++) {
		if (kvm_exits_way(self->programs) == KVM_EXITS_NO_WAY)
			claim_threads(self, self->vms[i]);
	}
	kvm_exits_add_room(self->programs, (expected > used ? expected : used) * 2 + ROOM_SPARE);
}

static void update(void *pointer, const struct vm *vm)
{
	struct kvm_exits *self = pointer;
	struct watched **vms;

	if (find(self, vm))
		return;
	if (self->nr_vms == self->room) {
		size_t room = self->room ? 2 * self->room : 16;

		vms = realloc(self->vms, room * sizeof(struct watched *));
		if (!vms)
			return;
		self->vms = vms;
		self->room = room;
	}
	self->vms[self->nr_vms] = calloc(1, sizeof(**self->vms));
	if (!self->vms[self->nr_vms])
		return;
	self->vms[self->nr_vms++]->vm = vm;
}

static void remove_vm(void *pointer, const struct vm *vm)
{
	struct kvm_exits *self = pointer;
	struct watched *gone = find(self, vm);

	if (!gone)
		return;
	for (size_t i = 0; i < gone->nr_slots; i++)
		free_slot(self, gone->slots[i]);
	for (size_t i = 0; i < self->nr_vms; i++) {
		if (self->vms[i] == gone)
			self->vms[i] = self->vms[self->nr_vms - 1];
	}
	self->nr_vms--;
	/* Its process's record goes when it has not been written for a while. */
	free(gone->slots);
	free(gone);
}

static void begin(void *pointer, uint64_t now)
{
	struct kvm_exits *self = pointer;
	uint64_t seconds = now / NANOSECONDS;

	if (!self->programs && self->retry && now >= self->retry_at) {
		self->retry_at = now + RETRY_SECONDS * (uint64_t)NANOSECONDS;
		load(self);
	}
	if (!self->programs)
		return;
	take_records(self);
	kvm_exits_set_timing(self->programs, self->timing_period && seconds % self->timing_period <
									    self->timing_seconds);
}

static void add_record(const struct kvm_exits_record *record, struct vm_sample *sample)
{
	struct kvm_exits_counters *sum = &sample->kvm_exits;

	for (size_t i = 0; i < KVM_EXIT_REASON_COUNT; i++) {
		uint64_t time = read_count(&record->time[i]);

		sum->exits[i] += read_count(&record->exits[i]);
		sum->exit_time[i] += time;
		/* No time taken: its slots, most of the record, need no look. */
		for (size_t j = 0; time && j < EXIT_SLOT_COUNT; j++) {
			uint64_t count = read_count(&record->slots[i][j]);

			sample->exit_slots[i][j] += count;
			sum->exit_samples[i] += count;
		}
	}
	sum->exit_cr3_loads[0] += read_count(&record->cr3_loads);
}

#define INDEX(metric, element) UMBRA_INDEX(struct kvm_exits_counters, metric, element)

/* Where the events are in the sample. */
static const size_t event_index[KVM_EXITS_EVENT_COUNT] = {
#define EVENT(metric, tracepoint) [EVENT_##metric] = INDEX(metric, 0),
	KVM_EXITS_EVENTS(EVENT)
#undef EVENT
		[EVENT_kvmmmu_pages_made] = INDEX(kvmmmu_pages_made, 0),
};

static void tell_known(const struct kvm_exits *self, struct umbra_known *known)
{
	bool exits = kvm_exits_way(self->programs) != KVM_EXITS_NO_WAY;
	bool times = kvm_exits_sees_entries(self->programs) && self->timing_seconds &&
		     self->timing_period;

	for (size_t i = 0; exits && i < KVM_EXIT_REASON_COUNT; i++) {
		umbra_known_add(known, INDEX(exits, i));
		if (times) {
			umbra_known_add(known, INDEX(exit_samples, i));
			umbra_known_add(known, INDEX(exit_time, i));
		}
	}
	if (exits)
		umbra_known_add(known, INDEX(exit_cr3_loads, 0));
	for (size_t i = 0; i < KVM_EXITS_EVENT_COUNT; i++) {
		if (kvm_exits_counts(self->programs, (enum kvm_exits_event)i))
			umbra_known_add(known, event_index[i]);
	}
}

static void sample_vm(void *pointer, const struct vm *vm, struct vm_sample *sample)
{
	struct kvm_exits *self = pointer;
	struct watched *watched = find(self, vm);
	uint64_t *values = (uint64_t *)&sample->kvm_exits;

	if (!self->programs || !watched)
		return;
	for (size_t i = 0; i < KVM_EXITS_EVENT_COUNT; i++)
		values[event_index[i]] = watched->events[i];
	for (size_t i = 0; i < watched->nr_slots; i++) {
		const struct kvm_exits_record *record =
			kvm_exits_record(self->programs, watched->slots[i]);

		add_record(record, sample);
		for (size_t j = 0; j < KVM_EXITS_EVENT_COUNT; j++)
			values[event_index[j]] += read_count(&record->events[j]);
	}
	tell_known(self, &sample->kvm_exits_known);
}

static void state(void *pointer, char ret_state[COLLECTOR_STATE_MAX])
{
	const struct kvm_exits *self = pointer;

	memcpy(ret_state, self->state, COLLECTOR_STATE_MAX);
}

static void own(void *pointer, struct collector_own *ret)
{
	const struct kvm_exits *self = pointer;

	if (!self->programs)
		return;
	kvm_exits_own(self->programs, ret);
	ret->unattributed += self->unattributed;
}

size_t kvm_exits_threads(void *pointer, struct vcpu_thread *ret, size_t max)
{
	struct kvm_exits *self = pointer;
	size_t count = 0;

	if (!self->programs)
		return 0;
	follow_room(self);
	for (size_t slot = 0; slot < self->nr_places && count < max; slot++) {
		const struct kvm_exits_record *record = kvm_exits_record(self->programs, slot);
		unsigned long long thread = read_count(&record->thread);

		if (state_of(record) != KVM_EXITS_VCPU || self->places[slot].told == thread)
			continue;
		self->places[slot].told = thread;
		ret[count++] = (struct vcpu_thread){
			.pid = (pid_t)(thread >> 32),
			.tid = (pid_t)thread,
			.vcpu_id = record->vcpu_id,
		};
	}
	return count;
}

const struct collector kvm_exits_collector = {
	.name = "kvm_exits",
	.create = create,
	.destroy = destroy,
	.update = update,
	.remove = remove_vm,
	.begin = begin,
	.sample = sample_vm,
	.state = state,
	.own = own,
};
