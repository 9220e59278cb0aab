/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cost model: events of the MMU and the VMM to cycles of the named processor. */
#ifndef COST_COST_H
#define COST_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One member for each row of costs.def, in cycles for each event. */
struct umbra_cost {
#define UMBRA_COST(name, cycles, event, source) uint32_t name;
#include "cost/costs.def"
#undef UMBRA_COST
};

#define UMBRA_COST_COUNT (sizeof(struct umbra_cost) / sizeof(uint32_t))

/* No figure is larger: sums of them stay far within 64 bits. */
#define UMBRA_COST_MAX 100000000u

struct umbra_cost_row {
	const char *name;
	uint32_t cycles;
	const char *event; /* that is charged */
	const char *source;
};

/* The figures of the processor that costs.def is about. */
extern const char umbra_cost_processor[];
extern const struct umbra_cost umbra_cost_default;
/* The table as rows, in costs.def's order; ends with a row whose name is NULL. */
extern const struct umbra_cost_row umbra_cost_rows[];

/* The member of @cost called @name, or NULL. */
uint32_t *umbra_cost_find(struct umbra_cost *cost, const char *name);

/* Where a figure comes from; a later kind wins over those before it. */
enum umbra_cost_origin {
	UMBRA_COST_OF_DEFAULT,   /* costs.def */
	UMBRA_COST_OF_PROCESSOR, /* processors.def */
	UMBRA_COST_OF_ALL,       /* given by a file for all processors */
	UMBRA_COST_OF_ONE,       /* given by a file for this processor */
};

struct umbra_cost_figure {
	enum umbra_cost_origin origin;
	const char *source; /* of the first two kinds; a static string */
	unsigned line;      /* of the others: in the file */
};

/* The figures for one processor, and where each is from. */
struct umbra_cost_table {
	struct umbra_cost cost;
	struct umbra_cost_figure figure[UMBRA_COST_COUNT]; /* in costs.def's order */
	const char *processor;                             /* its name, borrowed */
	const char *file;                                  /* borrowed; NULL: none gave a figure */
};

/* What is known of @processor, which need not have figures of its own. */
void umbra_cost_table_init(struct umbra_cost_table *table, const char *processor);
/*
 * A file gives the @row-th figure, for this processor or (@all) for every one. What it gives for
 * this one wins, whichever comes first. @cycles: at most UMBRA_COST_MAX.
 */
void umbra_cost_table_give(struct umbra_cost_table *table, size_t row, bool all, uint32_t cycles,
			   unsigned line);
/*
 * How many figures are borrowed from the default's processor. Above 0 the costs are uncalibrated,
 * and whoever shows them says so.
 */
unsigned umbra_cost_table_borrowed(const struct umbra_cost_table *table);
/* How many figures a file gave. */
unsigned umbra_cost_table_given(const struct umbra_cost_table *table);

#endif
