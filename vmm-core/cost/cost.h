/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cost model: events of the MMU and the VMM to cycles of the named processor. */
#ifndef COST_COST_H
#define COST_COST_H

#include <stdint.h>

/* One member for each row of costs.def, in cycles. */
struct umbra_cost {
#define UMBRA_COST(name, cycles, source) uint32_t name;
#include "cost/costs.def"
#undef UMBRA_COST
};

struct umbra_cost_row {
	const char *name;
	uint32_t cycles;
	const char *source;
};

extern const struct umbra_cost umbra_cost_default;
/* The table as rows, in costs.def's order; ends with a row whose name is NULL. */
extern const struct umbra_cost_row umbra_cost_rows[];

/* The member of @cost called @name, or NULL. */
uint32_t *umbra_cost_find(struct umbra_cost *cost, const char *name);

#endif
