/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft engine: a guest of Umbra's own CPU, one vCPU. All of it belongs to the thread that runs
 * it, but for the kick.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "engine/guest.h"
#include "x86/flags.h"

/* Guest time between two publications of the counters: a few milliseconds. */
#define PUBLISH_TIME 250000

#define MIN_MEMORY   (1ull << 20)
#define MAX_MEMORY   (2ull << 30)

static int check_config(const struct umbra_guest_config *config, const struct processor **ret,
			struct umbra_error *ret_error)
{
	const char *processor = config->processor ? config->processor : "skylake";

	*ret = processor_find(processor);
	if (!*ret)
		return umbra_error_set(ret_error, -EOPNOTSUPP, config->name, "processor",
				       "processor \"%s\" is not in this build; it has skylake",
				       processor);
	if (config->maxphyaddr && (config->maxphyaddr < 36 || config->maxphyaddr > 52))
		return umbra_error_set(ret_error, -EINVAL, config->name, "maxphyaddr",
				       "%u physical address bits; expected 36 to 52",
				       config->maxphyaddr);
	if (config->memory % PAGE_SIZE || config->memory < MIN_MEMORY ||
	    config->memory > MAX_MEMORY)
		return umbra_error_set(
			ret_error, -EINVAL, config->name, "memory",
			"%llu bytes; expected a multiple of 4096 from 1 MiB to 2 GiB",
			(unsigned long long)config->memory);
	return 0;
}

int umbra_guest_create(const struct umbra_guest_config *config, struct umbra_counters *counters,
		       struct umbra_guest **ret_guest, struct umbra_error *ret_error)
{
	const struct processor *processor;
	struct umbra_guest *guest;
	int error = check_config(config, &processor, ret_error);

	if (error)
		return error;
	guest = calloc(1, sizeof(*guest));
	if (!guest)
		return umbra_error_set(ret_error, -ENOMEM, config->name, NULL, "out of memory");
	snprintf(guest->name, sizeof(guest->name), "%s", config->name);
	guest->published = counters;
	guest->interval = guest->next_interval = config->interval;
	guest->pace = config->pace;
	error = memory_create(&guest->memory, config->memory, config->mode == UMBRA_MODE_BARE,
			      config->seed, ret_error);
	if (error)
		goto fail;
	error = hw_create(&guest->memory, config->cost ? config->cost : &umbra_cost_default,
			  processor, &guest->hw);
	if (!error && config->maxphyaddr)
		hw_set_maxphyaddr(guest->hw, config->maxphyaddr);
	if (!error)
		error = machine_create(&config->console, config->memory, &guest->machine);
	if (!error)
		error = x86_create(guest->hw, guest->machine, config->clock, &guest->cpu);
	if (error) {
		umbra_error_set(ret_error, error, config->name, NULL, "out of memory");
		goto fail;
	}
	error = vmm_create(&guest->hw, 1, &guest->memory, config->mode, &guest->vmm, ret_error);
	if (error)
		goto fail;
	*ret_guest = guest;
	return 0;
fail:
	umbra_guest_destroy(guest);
	return error;
}

void umbra_guest_destroy(struct umbra_guest *guest)
{
	if (!guest)
		return;
	vmm_destroy(guest->vmm);
	if (guest->cpu)
		x86_destroy(guest->cpu);
	if (guest->machine)
		machine_destroy(guest->machine);
	hw_destroy(guest->hw);
	memory_destroy(&guest->memory);
	free(guest);
}

int umbra_guest_load(struct umbra_guest *guest, const struct umbra_image *image,
		     struct umbra_error *ret_error)
{
	struct boot_entry entry;
	int error = boot_load(&guest->memory, image, &entry, ret_error);

	if (error)
		return error;
	error = x86_start(guest->cpu, &entry);
	if (error)
		return umbra_error_set(ret_error, error, guest->name, NULL, "%s",
				       hw_error_text(guest->hw));
	guest->loaded = true;
	return 0;
}

void guest_collect_counters(struct umbra_guest *guest)
{
	struct umbra_counters *c = &hw_public(guest->hw)->counters;

	c->instructions[0] = guest->cpu->instructions;
	c->cycles[0] = guest->cpu->steps + hw_public(guest->hw)->cycles;
	c->time[0] = x86_time(guest->cpu);
	c->memory_touched[0] = (uint64_t)guest->memory.touched * PAGE_SIZE;
	c->memory_tables[0] = (uint64_t)guest->memory.tables * PAGE_SIZE;
	/* Each look-up hits in one level or misses all: only those are counted as they happen. */
	c->tlb_lookups[UMBRA_ACCESS_instruction] = c->tlb_hits[UMBRA_TLB_l1_instruction] +
						   c->tlb_hits_l2[UMBRA_ACCESS_instruction] +
						   c->tlb_misses[UMBRA_ACCESS_instruction];
	c->tlb_lookups[UMBRA_ACCESS_data] = c->tlb_hits[UMBRA_TLB_l1_data] +
					    c->tlb_hits_l2[UMBRA_ACCESS_data] +
					    c->tlb_misses[UMBRA_ACCESS_data];
	c->tlb_hits[UMBRA_TLB_l2] =
		c->tlb_hits_l2[UMBRA_ACCESS_instruction] + c->tlb_hits_l2[UMBRA_ACCESS_data];
	umbra_counters_publish(guest->published, c);
}

/* HLT jumps to the next timer event, but not past the end of the interval. */
static bool jump(struct umbra_guest *guest)
{
	uint64_t now = x86_time(guest->cpu), next = umbra_guest_wake_time(guest);

	if (next == UINT64_MAX || !(guest->cpu->rflags & RFLAGS_IF)) {
		x86_end(guest->cpu, UMBRA_END_HALTED, "halted with nothing that could wake it");
		return false;
	}
	if (guest->interval && next > guest->next_interval)
		next = guest->next_interval;
	if (next > now)
		guest->cpu->idle_time += next - now;
	machine_advance(guest->machine, x86_time(guest->cpu));
	return true;
}

enum umbra_event umbra_guest_run(struct umbra_guest *guest, uint64_t until_instruction)
{
	struct x86_cpu *cpu = guest->cpu;

	for (;;) {
		uint64_t until = x86_time(cpu) + PUBLISH_TIME;

		if (guest->interval && until > guest->next_interval)
			until = guest->next_interval;
		if (!cpu->ended)
			x86_run(cpu, until, until_instruction, &guest->kicked);
		guest_collect_counters(guest);
		if (cpu->ended)
			return UMBRA_EVENT_ENDED;
		if (guest->interval && x86_time(cpu) >= guest->next_interval) {
			guest->next_interval += guest->interval;
			return UMBRA_EVENT_INTERVAL;
		}
		if (cpu->instructions >= until_instruction)
			return UMBRA_EVENT_INSTRUCTION;
		if (guest->kicked) {
			guest->kicked = false;
			return UMBRA_EVENT_KICKED;
		}
		if (!cpu->halted)
			continue;
		if (guest->pace && !guest->idle_told &&
		    umbra_guest_wake_time(guest) != UINT64_MAX) {
			guest->idle_told = true;
			return UMBRA_EVENT_IDLE;
		}
		guest->idle_told = false;
		jump(guest);
	}
}

void umbra_guest_kick(struct umbra_guest *guest)
{
	guest->kicked = true;
}

int umbra_guest_switch(struct umbra_guest *guest, enum umbra_mode to,
		       struct umbra_switch *ret_switch, struct umbra_error *ret_error)
{
	int error = vmm_switch(guest->vmm, to, guest->cpu->instructions, x86_time(guest->cpu),
			       ret_error);

	guest_collect_counters(guest);
	if (!error && ret_switch)
		*ret_switch = guest->vmm->last;
	return error;
}

const struct umbra_switch *umbra_guest_last_switch(const struct umbra_guest *guest)
{
	return guest->vmm->switches ? &guest->vmm->last : NULL;
}

enum umbra_mode umbra_guest_mode(const struct umbra_guest *guest)
{
	return guest->vmm->mode;
}

const char *umbra_guest_processor(const struct umbra_guest *guest)
{
	return guest->hw->processor->name;
}

const struct umbra_counters *umbra_guest_counters(const struct umbra_guest *guest)
{
	return &hw_public(guest->hw)->counters;
}

uint64_t umbra_guest_time(const struct umbra_guest *guest)
{
	return x86_time(guest->cpu);
}

uint64_t umbra_guest_wake_time(const struct umbra_guest *guest)
{
	return machine_next_event(guest->machine);
}

const struct umbra_end *umbra_guest_end(const struct umbra_guest *guest)
{
	return guest->cpu->ended ? &guest->cpu->end : NULL;
}

void umbra_guest_stop(struct umbra_guest *guest, enum umbra_end_reason reason, const char *text)
{
	if (!guest->cpu->ended)
		x86_end(guest->cpu, reason, "%s", text);
	guest_collect_counters(guest);
}

void umbra_guest_registers(const struct umbra_guest *guest, struct umbra_registers *ret_registers)
{
	x86_registers(guest->cpu, ret_registers);
}

void umbra_guest_memory_hash(const struct umbra_guest *guest, char ret_hash[33])
{
	XXH3_state_t *state = XXH3_createState();
	XXH128_hash_t hash = {0};

	if (state) {
		XXH3_128bits_reset(state);
		for (uint64_t gpa = 0; gpa < guest->memory.size; gpa += PAGE_SIZE) {
			size_t span = 0;
			const void *page = memory_span_read(&guest->memory, gpa, PAGE_SIZE, &span);

			XXH3_128bits_update(state, page, span);
		}
		hash = XXH3_128bits_digest(state);
		XXH3_freeState(state);
	}
	snprintf(ret_hash, 33, "%016llx%016llx", (unsigned long long)hash.high64,
		 (unsigned long long)hash.low64);
}

int umbra_guest_memory_read(const struct umbra_guest *guest, uint64_t gpa, void *ret_bytes,
			    size_t len)
{
	return memory_read(&guest->memory, gpa, ret_bytes, len);
}
