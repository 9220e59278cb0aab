/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "schemas/manual.h"
#include "schemas/metrics.h"
#include "schemas/types.h"

static const char head[] =
	".\\\" SPDX-License-Identifier: GPL-2.0-or-later\n"
	".\\\" Made from metrics.def and the tables of the rooms that count.\n"
	".Dd November 27, 2026\n"
	".Dt UMBRA-METRICS 7\n"
	".Os Umbra\n"
	".Sh NAME\n"
	".Nm umbra-metrics\n"
	".Nd what umbrad measures\n"
	".Sh DESCRIPTION\n"
	".Xr umbrad 8\n"
	"serves these families of metrics below\n"
	".Pa /metrics ,\n"
	"in the text format of Prometheus or, where\n"
	".Li Accept\n"
	"asks for it, as OpenMetrics.\n"
	"Names of samples follow the type: those of a counter end in\n"
	".Li _total ,\n"
	"those of an info in\n"
	".Li _info ,\n"
	"a summary has\n"
	".Li _sum\n"
	"and\n"
	".Li _count ,\n"
	"and a histogram\n"
	".Li _bucket\n"
	"too.\n"
	"The text format has no type info; it calls such a family a gauge.\n"
	".Pp\n"
	"The same counters, and those that are too many for series, are keys of a guest in\n"
	".Pa /api/v1/guests/ID ,\n"
	"whose names are given behind the word JSON.\n"
	"What is not measured is absent, never zero;\n"
	".Pa /api/v1/collectors\n"
	"says why.\n"
	"Of exits that\n"
	".Xr umbra-collect 8\n"
	"counts, a reason has a series once it has come.\n"
	"A guest shows what several sources count from the first that knows it.\n";

static const char tail[] = ".Sh SEE ALSO\n"
			   ".Xr umbra-collect 8 ,\n"
			   ".Xr umbrad 8\n";

static const char *const kinds[] = {
	[METRIC_COUNTER] = "counter",     [METRIC_GAUGE] = "gauge", [METRIC_SUMMARY] = "summary",
	[METRIC_HISTOGRAM] = "histogram", [METRIC_INFO] = "info",
};

/* A line of text. A "." or "'" at its beginning would be a macro; none of our texts has one. */
static void write_text(FILE *out, const char *text)
{
	for (; *text; text++)
		fputs(*text == '\\' ? "\\e" : (const char[]){*text, '\0'}, out);
	fputs(".\n", out);
}

static void write_item(FILE *out, const char *name, enum metric_kind kind, const char *unit,
		       const char *labels, const char *help)
{
	fprintf(out, ".It Li %s\n", name);
	write_text(out, help);
	fprintf(out, "%c%s", kinds[kind][0] - 'a' + 'A', kinds[kind] + 1);
	if (*unit)
		fprintf(out, " in %s", unit);
	if (*labels)
		fprintf(out, "; labels: %s", labels);
	fputs(".\n", out);
}

static void write_families(FILE *out, bool of_guests)
{
	for (int id = 0; id < FAMILY_COUNT; id++) {
		const struct metric_family *family = &metric_families[id];

		if (of_guests == (strncmp(family->labels, "guest", 5) == 0))
			write_item(out, family->name, family->kind, family->unit, family->labels,
				   family->help);
	}
}

static void write_states(FILE *out)
{
	for (const struct metric_object *state = metric_states; state->name; state++) {
		char name[128], labels[128];

		snprintf(name, sizeof(name), "umbra_guest_%s", state->name);
		snprintf(labels, sizeof(labels), "guest, %s", state->name);
		write_item(out, name, METRIC_GAUGE, "", labels, state->help);
	}
}

static void write_values(FILE *out, const struct metric_dimension *dimension)
{
	fprintf(out, "Each\n.Va %s :\n.Bl -tag -width Ds -compact\n", dimension->name);
	for (size_t i = 0; i < dimension->nr_values; i++) {
		fprintf(out, ".It Li %s\n", dimension->values[i].name);
		write_text(out, dimension->values[i].help);
	}
	fputs(".El\n", out);
}

/* Which sources count it; whoever reads of all guests alike need not know. */
static void write_sources(FILE *out, const struct metric_group *group)
{
	const char *separator = "Counted by ";

	for (int source = 0; source < METRIC_SOURCE_COUNT; source++) {
		if (!group->from[source])
			continue;
		fprintf(out, "%s%s", separator, metric_source_name(source));
		separator = ", ";
	}
	fputs(".\n", out);
}

static void write_group(FILE *out, const struct metric_group *group)
{
	const struct metric *metric = group->widest;
	const bool series = metric->series;
	char name[128], json[128], labels[64];

	metric_family_name(metric, name, sizeof(name));
	snprintf(json, sizeof(json), "%s%s%s", group->object, *group->object ? "." : "",
		 group->key);
	snprintf(labels, sizeof(labels), "guest%s%s", metric->dimension ? ", " : "",
		 metric->dimension ? metric->dimension->name : "");
	write_item(out, series ? name : json, metric->kind,
		   series ? metric->unit->series_help : metric->unit->help, series ? labels : "",
		   group->help);
	write_sources(out, group);
	if (series)
		fprintf(out, "JSON:\n.Li %s .\n", json);
	if (series && metric->unit->decimals)
		fprintf(out, "There in %s.\n", metric->unit->help);
	if (metric->dimension)
		write_values(out, metric->dimension);
}

static void write_groups(FILE *out, bool series)
{
	const struct metric_group *groups;
	size_t count;

	groups = metric_groups(&count);
	for (size_t i = 0; i < count; i++) {
		if (groups[i].first->series == series)
			write_group(out, &groups[i]);
	}
}

static void begin_list(FILE *out, const char *title)
{
	fprintf(out, ".Sh %s\n.Bl -tag -width Ds\n", title);
}

void manual_write(FILE *out)
{
	fputs(head, out);
	begin_list(out, "UMBRAD");
	write_families(out, false);
	fputs(".El\n", out);
	begin_list(out, "GUESTS");
	write_families(out, true);
	write_states(out);
	write_groups(out, true);
	fputs(".El\n", out);
	begin_list(out, "IN JSON ONLY");
	write_groups(out, false);
	fputs(".El\n", out);
	fputs(tail, out);
}
