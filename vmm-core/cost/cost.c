/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cost/cost.h"

const char umbra_cost_processor[] = "skylake";

const struct umbra_cost umbra_cost_default = {
#define UMBRA_COST(name, cycles, event, source) .name = cycles,
#include "cost/costs.def"
#undef UMBRA_COST
};

const struct umbra_cost_row umbra_cost_rows[] = {
#define UMBRA_COST(name, cycles, event, source) {#name, cycles, event, source},
#include "cost/costs.def"
#undef UMBRA_COST
	{NULL, 0, NULL, NULL},
};

#define ROW_OF(name) (offsetof(struct umbra_cost, name) / sizeof(uint32_t))

static const struct {
	const char *processor;
	size_t row;
	uint32_t cycles;
	const char *source;
} figures_of_processors[] = {
#define UMBRA_COST_OF(processor, name, cycles, source) {#processor, ROW_OF(name), cycles, source},
#include "cost/processors.def"
#undef UMBRA_COST_OF
};

#define NR_FIGURES (sizeof(figures_of_processors) / sizeof(figures_of_processors[0]))

static uint32_t *member(struct umbra_cost *cost, size_t row)
{
	return (uint32_t *)cost + row;
}

uint32_t *umbra_cost_find(struct umbra_cost *cost, const char *name)
{
	for (size_t i = 0; umbra_cost_rows[i].name; i++) {
		if (!strcmp(umbra_cost_rows[i].name, name))
			return member(cost, i);
	}
	return NULL;
}

void umbra_cost_table_init(struct umbra_cost_table *table, const char *processor)
{
	*table = (struct umbra_cost_table){.cost = umbra_cost_default, .processor = processor};
	for (size_t i = 0; i < UMBRA_COST_COUNT; i++)
		table->figure[i].source = umbra_cost_rows[i].source;
	for (size_t i = 0; i < NR_FIGURES; i++) {
		size_t row = figures_of_processors[i].row;

		if (strcmp(figures_of_processors[i].processor, processor))
			continue;
		*member(&table->cost, row) = figures_of_processors[i].cycles;
		table->figure[row] =
			(struct umbra_cost_figure){.origin = UMBRA_COST_OF_PROCESSOR,
						   .source = figures_of_processors[i].source};
	}
}

void umbra_cost_table_give(struct umbra_cost_table *table, size_t row, bool all, uint32_t cycles,
			   unsigned line)
{
	enum umbra_cost_origin origin = all ? UMBRA_COST_OF_ALL : UMBRA_COST_OF_ONE;

	if (table->figure[row].origin > origin)
		return;
	*member(&table->cost, row) = cycles;
	table->figure[row] = (struct umbra_cost_figure){.origin = origin, .line = line};
}

unsigned umbra_cost_table_borrowed(const struct umbra_cost_table *table)
{
	unsigned borrowed = 0;

	if (!strcmp(table->processor, umbra_cost_processor))
		return 0;
	for (size_t i = 0; i < UMBRA_COST_COUNT; i++)
		borrowed += table->figure[i].origin == UMBRA_COST_OF_DEFAULT;
	return borrowed;
}

unsigned umbra_cost_table_given(const struct umbra_cost_table *table)
{
	unsigned given = 0;

	for (size_t i = 0; i < UMBRA_COST_COUNT; i++)
		given += table->figure[i].origin >= UMBRA_COST_OF_ALL;
	return given;
}
