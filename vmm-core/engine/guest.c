/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest whatever executes it: what is the same for all engines, and the way to the one it has. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "device/firmware.h"
#include "engine/guest.h"

#define MIN_MEMORY (1ull << 20)
#define MAX_MEMORY (2ull << 30)

static const struct engine_ops *const engines[UMBRA_ENGINE_COUNT] = {
	[UMBRA_ENGINE_SOFT] = &soft_engine,
	[UMBRA_ENGINE_KVM] = &kvm_engine,
};

static int check_config(const struct umbra_guest_config *config, struct umbra_error *ret_error)
{
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

int umbra_guest_create(const struct umbra_guest_config *config, struct umbra_counters *counters,
		       struct umbra_guest **ret_guest, struct umbra_error *ret_error)
{
	struct umbra_guest *guest;
	int error = check_config(config, ret_error);

	if (error)
		return error;
	guest = aligned_alloc(_Alignof(struct umbra_guest), sizeof(*guest));
	if (!guest)
		return umbra_error_set(ret_error, -ENOMEM, config->name, NULL, "out of memory");
	memset(guest, 0, sizeof(*guest));
	guest->engine = engines[config->engine];
	snprintf(guest->name, sizeof(guest->name), "%s", config->name);
	guest->published = counters;
	guest->nr_cpus = config->cpus ? config->cpus : 1;
	guest->interval = guest->next_interval = config->interval;
	error = guest->engine->create(guest, config, ret_error);
	if (error) {
		umbra_guest_destroy(guest);
		return error;
	}
	*ret_guest = guest;
	return 0;
}

void umbra_guest_destroy(struct umbra_guest *guest)
{
	if (!guest)
		return;
	guest->engine->destroy(guest);
	if (guest->machine)
		machine_destroy(guest->machine);
	memory_destroy(&guest->memory);
	free(guest);
}

int guest_needs_soft(const struct umbra_guest *guest, const char *what,
		     struct umbra_error *ret_error)
{
	if (guest->engine == &soft_engine)
		return 0;
	return umbra_error_set(ret_error, -EOPNOTSUPP, guest->name, what,
			       "only of a guest of the soft engine: KVM shows nobody its tables");
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
	if (!error)
		error = guest->engine->start(guest, &entry, ret_error);
	return error;
}

enum umbra_event umbra_guest_run(struct umbra_guest *guest, uint64_t until_instruction)
{
	return guest->engine->run(guest, until_instruction);
}

void umbra_guest_kick(struct umbra_guest *guest)
{
	guest->engine->kick(guest);
}

int umbra_guest_switch(struct umbra_guest *guest, enum umbra_mode to,
		       struct umbra_switch *ret_switch, struct umbra_error *ret_error)
{
	return guest->engine->switch_to(guest, to, ret_switch, ret_error);
}

const struct umbra_switch *umbra_guest_last_switch(const struct umbra_guest *guest)
{
	return guest->engine->last_switch(guest);
}

enum umbra_engine umbra_guest_engine(const struct umbra_guest *guest)
{
	return guest->engine->number;
}

enum umbra_mode umbra_guest_mode(const struct umbra_guest *guest)
{
	return guest->engine->mode(guest);
}

const char *umbra_guest_processor(const struct umbra_guest *guest)
{
	return guest->engine->processor(guest);
}

const struct umbra_counters *umbra_guest_counters(const struct umbra_guest *guest)
{
	return &guest->counters;
}

const struct umbra_known *umbra_guest_counters_known(const struct umbra_guest *guest)
{
	return &guest->known;
}

const struct umbra_kvm_figures *umbra_guest_kvm_figures(const struct umbra_guest *guest)
{
	return guest->engine->kvm_figures ? guest->engine->kvm_figures(guest) : NULL;
}

uint64_t umbra_guest_time(const struct umbra_guest *guest)
{
	return guest->engine->time(guest);
}

uint64_t umbra_guest_wake_time(const struct umbra_guest *guest)
{
	return machine_next_event(guest->machine);
}

const struct umbra_end *umbra_guest_end(const struct umbra_guest *guest)
{
	return guest->engine->end(guest);
}

void umbra_guest_stop(struct umbra_guest *guest, enum umbra_end_reason reason, const char *text)
{
	guest->engine->stop(guest, reason, text);
}

unsigned umbra_guest_cpus(const struct umbra_guest *guest)
{
	return guest->nr_cpus;
}

void umbra_guest_registers(const struct umbra_guest *guest, unsigned cpu,
			   struct umbra_registers *ret_registers)
{
	guest->engine->registers(guest, cpu, ret_registers);
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
