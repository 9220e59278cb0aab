/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft engine: a guest of Umbra's own CPU. All of it belongs to the thread that runs it, but
 * for the kick.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/memory_map.h"
#include "engine/guest.h"

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

static int soft_create(struct umbra_guest *guest, const struct umbra_guest_config *config,
		       struct umbra_error *ret_error)
{
	const struct machine_config machine_config = {
		.console = config->console,
		.memory_size = config->memory,
		.nr_cpus = guest->nr_cpus,
	};
	const struct processor *processor;
	int error = check_config(config, &processor, ret_error);

	if (error)
		return error;
	guest->pace = config->pace;
	for (size_t i = 0; i < sizeof(guest->counters) / sizeof(uint64_t); i++)
		umbra_known_add(&guest->known, i);
	error = memory_create_backed(&guest->memory, config->memory, backing_shift[config->backing],
				     config->mode == UMBRA_MODE_BARE, config->seed, ret_error);
	if (error)
		return error;
	error = machine_map_devices(&guest->memory);
	if (!error)
		error = machine_create(&machine_config, &guest->machine);
	if (!error)
		error = create_cpus(guest, config, processor);
	if (error)
		return umbra_error_set(ret_error, error, config->name, NULL, "out of memory");
	error = vmm_create(guest->hw, guest->nr_cpus, &guest->memory, config->mode, &guest->vmm,
			   ret_error);
	if (error)
		return error;
	if (config->ept_levels && vmm_set_ept_levels(guest->vmm, config->ept_levels) < 0)
		return umbra_error_set(ret_error, -ENOMEM, config->name, NULL, "out of memory");
	guest_begin_turn(guest, 0);
	return 0;
}

static void soft_destroy(struct umbra_guest *guest)
{
	vmm_destroy(guest->vmm);
	for (unsigned i = 0; i < guest->nr_cpus; i++)
		x86_destroy(guest->cpu[i]);
	for (unsigned i = 0; i < guest->nr_cpus; i++)
		hw_destroy(guest->hw[i]);
}

static int soft_start(struct umbra_guest *guest, const struct boot_entry *entry,
		      struct umbra_error *ret_error)
{
	int error = x86_start(guest->cpu[0], entry);

	if (error)
		return umbra_error_set(ret_error, error, guest->name, NULL, "%s",
				       hw_error_text(guest->hw[0]));
	return 0;
}

static void soft_kick(struct umbra_guest *guest)
{
	guest->kicked = true;
}

static int soft_switch_to(struct umbra_guest *guest, enum umbra_mode to,
			  struct umbra_switch *ret_switch, struct umbra_error *ret_error)
{
	uint64_t now = guest_soft_time(guest);
	int error;

	guest_collect_counters(guest);
	error = vmm_switch(guest->vmm, to, guest->counters.instructions[0], now, ret_error);
	guest_set_clock(guest);
	guest_collect_counters(guest);
	if (!error && ret_switch)
		*ret_switch = guest->vmm->last;
	return error;
}

static const struct umbra_switch *soft_last_switch(const struct umbra_guest *guest)
{
	return guest->vmm->switches ? &guest->vmm->last : NULL;
}

static enum umbra_mode soft_mode(const struct umbra_guest *guest)
{
	return guest->vmm->mode;
}

static const char *soft_processor(const struct umbra_guest *guest)
{
	return guest->hw[0]->processor->name;
}

static uint64_t soft_time(const struct umbra_guest *guest)
{
	return guest_soft_time(guest);
}

static const struct umbra_end *soft_end(const struct umbra_guest *guest)
{
	return guest_cpu(guest)->ended ? &guest_cpu(guest)->end : NULL;
}

static void soft_stop(struct umbra_guest *guest, enum umbra_end_reason reason, const char *text)
{
	if (!soft_end(guest))
		x86_end(guest_cpu(guest), reason, "%s", text);
	guest_collect_counters(guest);
}

static void soft_registers(const struct umbra_guest *guest, unsigned cpu,
			   struct umbra_registers *ret_registers)
{
	x86_registers(guest->cpu[cpu], ret_registers);
}

const struct engine_ops soft_engine = {
	.number = UMBRA_ENGINE_SOFT,
	.create = soft_create,
	.destroy = soft_destroy,
	.start = soft_start,
	.run = soft_run,
	.kick = soft_kick,
	.switch_to = soft_switch_to,
	.last_switch = soft_last_switch,
	.mode = soft_mode,
	.processor = soft_processor,
	.time = soft_time,
	.end = soft_end,
	.stop = soft_stop,
	.registers = soft_registers,
};
