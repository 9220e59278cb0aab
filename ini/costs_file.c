/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ini/costs_file.h"
#include "ini/ini_file.h"
#include "umbra/guest.h"

static const char general[] = "general";

static void take_section(struct ini_reading *reading, void *context, const char *section)
{
	struct umbra_error error;
	unsigned int number;

	if (strcmp(section, general) && umbra_processor_parse(section, &number, &error))
		ini_fail(reading, section, NULL, "[general] or a processor was expected: %s is %s",
			 section, error.text);
}

/* Whole cycles, in decimal. */
static int parse_cycles(const char *value, uint32_t *ret_cycles)
{
	unsigned long cycles;
	char *end;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	cycles = strtoul(value, &end, 10);
	if (errno || *end || cycles > UMBRA_COST_MAX)
		return -EINVAL;
	*ret_cycles = (uint32_t)cycles;
	return 0;
}

static void take_key(struct ini_reading *reading, void *context, const char *section,
		     const char *key, const char *value)
{
	struct umbra_cost_table *table = context;
	bool all = !strcmp(section, general);
	uint32_t cycles;
	size_t row = 0;

	while (umbra_cost_rows[row].name && strcmp(umbra_cost_rows[row].name, key))
		row++;
	if (!umbra_cost_rows[row].name) {
		ini_fail(reading, section, key,
			 "\"%.60s\": unknown key; an event of the cost model was expected: %s, ... "
			 "%s",
			 value, umbra_cost_rows[0].name, umbra_cost_rows[row - 1].name);
		return;
	}
	if (parse_cycles(value, &cycles)) {
		ini_fail(reading, section, key, "\"%.60s\": cycles, 0 to %u, were expected", value,
			 UMBRA_COST_MAX);
		return;
	}
	if (all || !strcmp(section, table->processor))
		umbra_cost_table_give(table, row, all, cycles, ini_line(reading));
}

int costs_file_read(const char *file, struct umbra_cost_table *table, struct complaints *complaints)
{
	static const struct ini_reader reader = {take_section, take_key, NULL};

	table->file = file;
	return ini_read(file, &reader, table, complaints);
}
