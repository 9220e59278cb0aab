/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft engine: a guest of Umbra's own CPU. All of it belongs to the thread that runs it, but
 * for the kick.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "device/firmware.h"
#include "device/memory_map.h"
#include "engine/guest.h"

#define MIN_MEMORY (1ull << 20)
#define MAX_MEMORY (2ull << 30)

static const uint8_t backing_shift[UMBRA_PAGE_SIZE_COUNT] = {
	[UMBRA_PAGE_4k] = PAGE_SHIFT,
	[UMBRA_PAGE_2m] = SHIFT_2M,
	[UMBRA_PAGE_1g] = SHIFT_1G,
};

const char *umbra_processor_name(unsigned number)
{
	const struct processor *processor = processor_at(number);

	return processor ? processor->name : NULL;
}

int umbra_processor_parse(const char *name, unsigned *ret_number, struct umbra_error *ret_error)
{
	const char *known;
	char all[64] = "";

	for (unsigned i = 0; (known = umbra_processor_name(i)); i++) {
		size_t len = strlen(all);

		if (!strcmp(known, name)) {
			*ret_number = i;
			return 0;
		}
		snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", known);
	}
	return umbra_error_set(ret_error, -EOPNOTSUPP, "processor", name,
			       "not in this build; it has %s", all);
}

static int check_config(const struct umbra_guest_config *config, const struct processor **ret,
			struct umbra_error *ret_error)
{
	unsigned processor = 0;

	if (config->processor && umbra_processor_parse(config->processor, &processor, ret_error))
		return -EOPNOTSUPP;
	*ret = processor_at(processor);
	/* x86/sse*.c execute SSE by the host's own. */
	if (!__builtin_cpu_supports("sse4.2"))
		return umbra_error_set(ret_error, -EOPNOTSUPP, config->name, "host",
				       "the host's processor has no SSE4.2, which the CPU needs");
	if (config->maxphyaddr && (config->maxphyaddr < 36 || config->maxphyaddr > 52))
		return umbra_error_set(ret_error, -EINVAL, config->name, "maxphyaddr",
				       "%u physical address bits; expected 36 to 52",
				       config->maxphyaddr);
	if (config->ept_levels && config->ept_levels != 4 && config->ept_levels != 5)
		return umbra_error_set(ret_error, -EINVAL, config->name, "levels",
				       "%u levels of EPT; expected 4 or 5", config->ept_levels);
	if (config->memory % PAGE_SIZE || config->memory < MIN_MEMORY ||
	    config->memory > MAX_MEMORY)
		return umbra_error_set(
			ret_error, -EINVAL, config->name, "memory",
			"%llu bytes; expected a multiple of 4096 from 1 MiB to 2 GiB",
			(unsigned long long)config->memory);
	if (config->cpus > UMBRA_MAX_CPUS)
		return umbra_error_set(ret_error, -EINVAL, config->name, "cpus",
				       "%u vCPUs; expected 1 to %u", config->cpus, UMBRA_MAX_CPUS);
	return 0;
}

/* The vCPUs with their hardware; all but the boot processor wait for INIT and SIPI. */
static int create_cpus(struct umbra_guest *guest, const struct umbra_guest_config *config,
		       const struct processor *processor)
{
	const struct umbra_cost *cost = config->cost;
	struct umbra_cost_table known;
	int error = 0;

	if (!cost) {
		umbra_cost_table_init(&known, processor->name);
		cost = &known.cost;
	}
	for (unsigned i = 0; i < guest->nr_cpus && !error; i++) {
		error = hw_create(&guest->memory, cost, processor, &guest->hw[i]);
		if (!error && config->maxphyaddr)
			hw_set_maxphyaddr(guest->hw[i], config->maxphyaddr);
		if (!error)
			error = x86_create(guest->hw[i], guest->machine, config->clock,
					   &guest->cpu[i]);
		if (error)
			break;
		guest->cpu[i]->index = (uint8_t)i;
		guest->cpu[i]->cpus = guest->cpu;
		guest->cpu[i]->nr_cpus = guest->nr_cpus;
		error = x86_reset(guest->cpu[i]);
	}
	return error;
}

int umbra_guest_create(const struct umbra_guest_config *config, struct umbra_counters *counters,
		       struct umbra_guest **ret_guest, struct umbra_error *ret_error)
{
	const struct machine_config machine_config = {
		.console = config->console,
		.memory_size = config->memory,
		.nr_cpus = config->cpus ? config->cpus : 1,
	};
	const struct processor *processor;
	struct umbra_guest *guest;
	int error = check_config(config, &processor, ret_error);

	if (error)
		return error;
	guest = aligned_alloc(_Alignof(struct umbra_guest), sizeof(*guest));
	if (!guest)
		return umbra_error_set(ret_error, -ENOMEM, config->name, NULL, "out of memory");
	memset(guest, 0, sizeof(*guest));
	snprintf(guest->name, sizeof(guest->name), "%s", config->name);
	guest->published = counters;
	guest->nr_cpus = machine_config.nr_cpus;
	guest->interval = guest->next_interval = config->interval;
	guest->pace = config->pace;
	error = memory_create_backed(&guest->memory, config->memory, backing_shift[config->backing],
				     config->mode == UMBRA_MODE_BARE, config->seed, ret_error);
	if (error)
		goto fail;
	error = machine_map_devices(&guest->memory);
	if (!error)
		error = machine_create(&machine_config, &guest->machine);
	if (!error)
		error = create_cpus(guest, config, processor);
	if (error) {
		umbra_error_set(ret_error, error, config->name, NULL, "out of memory");
		goto fail;
	}
	error = vmm_create(guest->hw, guest->nr_cpus, &guest->memory, config->mode, &guest->vmm,
			   ret_error);
	if (error)
		goto fail;
	if (config->ept_levels && vmm_set_ept_levels(guest->vmm, config->ept_levels) < 0) {
		error = umbra_error_set(ret_error, -ENOMEM, config->name, NULL, "out of memory");
		goto fail;
	}
	guest_begin_turn(guest, 0);
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
	for (unsigned i = 0; i < guest->nr_cpus; i++)
		x86_destroy(guest->cpu[i]);
	if (guest->machine)
		machine_destroy(guest->machine);
	for (unsigned i = 0; i < guest->nr_cpus; i++)
		hw_destroy(guest->hw[i]);
	memory_destroy(&guest->memory);
	free(guest);
}

int umbra_guest_load(struct umbra_guest *guest, const struct umbra_image *image,
		     struct umbra_error *ret_error)
{
	struct boot_entry entry;
	int error = machine_write_tables(&guest->memory, guest->nr_cpus);

	if (error)
		return umbra_error_set(ret_error, error, guest->name, "memory",
				       "no room for the firmware's tables");
	error = boot_load(&guest->memory, image, &entry, ret_error);
	if (error)
		return error;
	error = x86_start(guest->cpu[0], &entry);
	if (error)
		return umbra_error_set(ret_error, error, guest->name, NULL, "%s",
				       hw_error_text(guest->hw[0]));
	guest->loaded = true;
	return 0;
}

void umbra_guest_kick(struct umbra_guest *guest)
{
	guest->kicked = true;
}

int umbra_guest_switch(struct umbra_guest *guest, enum umbra_mode to,
		       struct umbra_switch *ret_switch, struct umbra_error *ret_error)
{
	uint64_t now = umbra_guest_time(guest);
	int error;

	guest_collect_counters(guest);
	error = vmm_switch(guest->vmm, to, guest->counters.instructions[0], now, ret_error);
	guest_set_clock(guest);
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
	return guest->hw[0]->processor->name;
}

const struct umbra_counters *umbra_guest_counters(const struct umbra_guest *guest)
{
	return &guest->counters;
}

uint64_t umbra_guest_time(const struct umbra_guest *guest)
{
	return x86_time(guest_cpu(guest));
}

uint64_t umbra_guest_wake_time(const struct umbra_guest *guest)
{
	return machine_next_event(guest->machine);
}

const struct umbra_end *umbra_guest_end(const struct umbra_guest *guest)
{
	return guest_cpu(guest)->ended ? &guest_cpu(guest)->end : NULL;
}

void umbra_guest_stop(struct umbra_guest *guest, enum umbra_end_reason reason, const char *text)
{
	if (!umbra_guest_end(guest))
		x86_end(guest_cpu(guest), reason, "%s", text);
	guest_collect_counters(guest);
}

unsigned umbra_guest_cpus(const struct umbra_guest *guest)
{
	return guest->nr_cpus;
}

void umbra_guest_registers(const struct umbra_guest *guest, unsigned cpu,
			   struct umbra_registers *ret_registers)
{
	x86_registers(guest->cpu[cpu], ret_registers);
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
