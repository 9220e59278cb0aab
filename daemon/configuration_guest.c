/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration of one guest: made, copied, compared, freed. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/configuration_guest.h"
#include "ini/costs_file.h"
#include "umbra/guest.h"

struct config_costs *config_costs_create(const char *processor, const char *file,
					 struct complaints *complaints)
{
	struct config_costs *costs = calloc(1, sizeof(*costs));

	if (costs)
		costs->file = strdup(file);
	if (!costs || !costs->file) {
		free(costs);
		complain(complaints, -ENOMEM, "costs: out of memory");
		return NULL;
	}
	costs->refs = 1;
	umbra_cost_table_init(&costs->table, processor);
	if (!*file || !costs_file_read(costs->file, &costs->table, complaints))
		return costs;
	config_costs_unref(costs);
	return NULL;
}

struct config_costs *config_costs_ref(struct config_costs *costs)
{
	if (costs)
		costs->refs++;
	return costs;
}

void config_costs_unref(struct config_costs *costs)
{
	if (!costs || --costs->refs)
		return;
	free(costs->file);
	free(costs);
}

int config_guest_init(struct guest_config *guest, const char *name)
{
	*guest = (struct guest_config){
		.image = strdup(""),
		.initrd = strdup(""),
		.append = strdup(""),
		.clock = UMBRA_CLOCK_CYCLES,
		.memory = 128 << 20,
		.cpus = 1,
	};
	snprintf(guest->name, sizeof(guest->name), "%s", name);
	return guest->image && guest->initrd && guest->append ? 0 : -ENOMEM;
}

void config_guest_clear(struct guest_config *guest)
{
	free(guest->image);
	free(guest->initrd);
	free(guest->append);
	config_costs_unref(guest->costs);
}

struct guest_config *config_guest_copy(const struct guest_config *guest)
{
	struct guest_config *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *guest;
	copy->image = strdup(guest->image);
	copy->initrd = strdup(guest->initrd);
	copy->append = strdup(guest->append);
	config_costs_ref(copy->costs);
	if (copy->image && copy->initrd && copy->append)
		return copy;
	config_guest_free(copy);
	return NULL;
}

void config_guest_free(struct guest_config *guest)
{
	if (!guest)
		return;
	config_guest_clear(guest);
	free(guest);
}

static bool same_costs(const struct config_costs *a, const struct config_costs *b)
{
	return a == b || (a && b && !memcmp(&a->table.cost, &b->table.cost, sizeof(a->table.cost)));
}

const char *config_guest_difference(const struct guest_config *a, const struct guest_config *b)
{
	const struct {
		const char *key;
		bool same;
	} rows[] = {
		{"engine", a->engine == b->engine},
		{"image", !strcmp(a->image, b->image)},
		{"initrd", !strcmp(a->initrd, b->initrd)},
		{"append", !strcmp(a->append, b->append)},
		{"memory", a->memory == b->memory},
		{"cpus", a->cpus == b->cpus},
		{"processor", a->processor == b->processor},
		{"clock", a->clock == b->clock},
		{"interval", a->interval == b->interval},
		{"console", a->console == b->console},
		{"costs", same_costs(a->costs, b->costs)},
		/* It has no VMM that could begin to switch, or end. */
		{"mode", (a->mode == UMBRA_MODE_BARE) == (b->mode == UMBRA_MODE_BARE) &&
				 (a->engine == UMBRA_ENGINE_SOFT || a->mode == b->mode)},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!rows[i].same)
			return rows[i].key;
	}
	return NULL;
}
