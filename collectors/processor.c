/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/host_file.h"
#include "collectors/processor.h"

static const struct {
	const char *name, *pmu;
} processors[] = {
#define PROCESSOR(name, pmu) {#name, pmu},
#include "collectors/processors.def"
	{"unknown", NULL},
};

static const struct {
	enum processor_kind kind;
	const char *vendor;
	unsigned int family, first, last;
} models[] = {
#define PROCESSOR_MODEL(name, vendor, family, first, last)                                         \
	{PROCESSOR_##name, vendor, family, first, last},
#include "collectors/processors.def"
};

/* The value of "KEY<blanks>: VALUE\n" without its line's end, or NULL. */
static char *value_of(char *line, const char *key)
{
	size_t length = strlen(key);
	char *value = strchr(line, ':');

	if (strncmp(line, key, length) || !value ||
	    line + length + strspn(line + length, " \t") != value)
		return NULL;
	value += 1 + strspn(value + 1, " \t");
	value[strcspn(value, "\n")] = '\0';
	return value;
}

/* "... CPU @ 2.30GHz": Intel writes the nominal frequency into the name. */
static double frequency_in_name(const char *name)
{
	const char *at = strrchr(name, '@');
	char *unit;
	double value = at ? strtod(at + 1, &unit) : 0;

	return value > 0 && !strcmp(unit, "GHz") ? value * 1e9 : 0;
}

/* A file that holds a number, or 0. */
static double number_in(const struct collector_roots *roots, const char *name)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), "devices/system/cpu/cpu0/%s", name);
	host_read_line(roots->sys, path, text, sizeof(text));
	return strtod(text, NULL);
}

static double frequency_of(const struct collector_roots *roots, double in_name, double now)
{
	double frequency = number_in(roots, "cpufreq/base_frequency") * 1e3; /* Intel */

	if (frequency <= 0)
		frequency = number_in(roots, "acpi_cppc/nominal_freq") * 1e6; /* AMD */
	if (frequency <= 0)
		frequency = in_name;
	/* What cpuinfo says is of this moment, but where nothing scales it, that is it. */
	return frequency > 0 ? frequency : now;
}

static enum processor_kind kind_of(const struct processor *processor)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (!strcmp(processor->vendor, models[i].vendor) &&
		    processor->family == models[i].family && processor->model >= models[i].first &&
		    processor->model <= models[i].last)
			return models[i].kind;
	}
	return PROCESSOR_COUNT;
}

void processor_detect(const struct collector_roots *roots, struct processor *ret)
{
	double in_name = 0, now = 0;
	char path[512], *line = NULL;
	size_t size = 0;
	FILE *file;

	*ret = (struct processor){.kind = PROCESSOR_COUNT};
	snprintf(path, sizeof(path), "%s/cpuinfo", roots->proc);
	file = fopen(path, "re");
	/* An empty line ends the first CPU. */
	while (file && getline(&line, &size, file) > 0 && line[0] != '\n') {
		char *value;

		if ((value = value_of(line, "vendor_id")))
			snprintf(ret->vendor, sizeof(ret->vendor), "%s", value);
		else if ((value = value_of(line, "cpu family")))
			ret->family = strtoul(value, NULL, 10);
		else if ((value = value_of(line, "model")))
			ret->model = strtoul(value, NULL, 10);
		else if ((value = value_of(line, "model name")))
			in_name = frequency_in_name(value);
		else if ((value = value_of(line, "cpu MHz")))
			now = strtod(value, NULL) * 1e6;
	}
	free(line);
	if (file)
		fclose(file);
	ret->kind = kind_of(ret);
	ret->frequency = frequency_of(roots, in_name, now);
}

const char *processor_name(enum processor_kind kind)
{
	return processors[kind < PROCESSOR_COUNT ? kind : PROCESSOR_COUNT].name;
}

const char *processor_pmu(enum processor_kind kind)
{
	return processors[kind < PROCESSOR_COUNT ? kind : PROCESSOR_COUNT].pmu;
}
