/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>
#include <string.h>

#include "cost/cost.h"

const struct umbra_cost umbra_cost_default = {
#define UMBRA_COST(name, cycles, source) .name = cycles,
#include "cost/costs.def"
#undef UMBRA_COST
};

const struct umbra_cost_row umbra_cost_rows[] = {
#define UMBRA_COST(name, cycles, source) {#name, cycles, source},
#include "cost/costs.def"
#undef UMBRA_COST
	{NULL, 0, NULL},
};

uint32_t *umbra_cost_find(struct umbra_cost *cost, const char *name)
{
	uint32_t *members = (uint32_t *)cost;

	for (size_t i = 0; umbra_cost_rows[i].name; i++) {
		if (!strcmp(umbra_cost_rows[i].name, name))
			return &members[i];
	}
	return NULL;
}
