/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra guests: umbrad's guests, one a line, and below it why its mode was switched last. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/api.h"
#include "client/client.h"
#include "client/table.h"
#include "client/words.h"

/* "12.3M": four digits at most. */
static void short_number(double number, char buffer[16])
{
	static const char units[] = " kMGTPE";
	size_t unit = 0;

	while (number >= 9999.5 && unit + 2 < sizeof(units)) {
		number /= 1000;
		unit++;
	}
	if (unit)
		snprintf(buffer, 16, "%.*f%c", number < 99.95 ? 1 : 0, number, units[unit]);
	else
		snprintf(buffer, 16, "%.0f", number);
}

/* What was not measured is a dash. */
static void share(struct table *table, const json_t *guest, const json_t *cycles)
{
	double all = api_number(guest, "cycles");

	if (json_is_number(cycles) && all > 0)
		table_cell(table, "%.1f%%", 100 * json_number_value(cycles) / all);
	else
		table_cell(table, "-");
}

static void add_guest(struct table *table, const json_t *guest)
{
	const json_t *switching = json_object_get(guest, "switching");
	double instructions = api_number(guest, "instructions");
	char number[16] = "-", ratio[32] = "-", count[32] = "-";

	if (json_object_get(guest, "instructions"))
		short_number(instructions, number);
	if (json_object_get(switching, "count"))
		snprintf(count, sizeof(count), "%.0f", api_number(switching, "count"));
	if (instructions > 0 && json_object_get(guest, "cycles"))
		snprintf(ratio, sizeof(ratio), "%.2f", api_number(guest, "cycles") / instructions);
	table_cell(table, "%s", api_text(guest, "id"));
	table_cell(table, "%s", api_text(guest, "state"));
	table_cell(table, "%s", api_text(guest, "mode"));
	table_cell(table, "%s", api_text(guest, "policy"));
	table_cell(table, "%s", api_text(guest, "policy_source"));
	table_cell(table, "%s", number);
	table_cell(table, "%s", ratio);
	share(table, guest, json_object_get(json_object_get(guest, "walks"), "cycles"));
	share(table, guest, json_object_get(guest, "exit_cycles"));
	table_cell(table, "%s", count);
}

/* Who switched the guest last, and what for. */
static void note_switch(struct table *table, const json_t *made)
{
	const char *from = api_text(made, "from"), *to = api_text(made, "to");
	const char *reason = api_text(made, "reason");
	char decision[48] = "";

	if (json_object_get(made, "decision"))
		snprintf(decision, sizeof(decision), " (decision %.0f)",
			 api_number(made, "decision"));
	if (!strcmp(reason, "operator"))
		table_note(table, "    switched from %s to %s by an operator", from, to);
	else if (!strcmp(reason, "configuration"))
		table_note(table, "    switched from %s to %s by the configuration", from, to);
	else if (!strcmp(reason, "rollback"))
		table_note(table, "    back from %s to %s%s: the switch to %s did not pay", from,
			   to, decision, from);
	else if (json_object_get(made, "expected_percent"))
		table_note(table,
			   "    switched from %s to %s%s: %.0f%% fewer cycles "
			   "expected; %s",
			   from, to, decision, -api_number(made, "expected_percent"),
			   words_outcome(json_object_get(made, "paid")));
	else
		table_note(table, "    switched from %s to %s by the policy", from, to);
}

/* Whose VM it is. What that other program chose, and may be long, comes last. */
static void note_vm(struct table *table, const json_t *guest)
{
	const json_t *vm = json_object_get(guest, "vm");
	const char *unit = json_string_value(json_object_get(vm, "unit"));

	table_note(table, "    VM of %s, process %.0f: %s%s%s", api_text(vm, "process"),
		   api_number(guest, "pid"), api_text(guest, "guest"), unit ? ", " : "",
		   unit ? unit : "");
}

static void note_guest(struct table *table, const json_t *guest)
{
	const json_t *end = json_object_get(guest, "end");
	const json_t *made = json_object_get(guest, "last_switch");

	if (json_is_true(json_object_get(guest, "observed")))
		note_vm(table, guest);
	if (end)
		table_note(table, "    %s%s%.80s", api_text(end, "reason"),
			   json_object_get(end, "text") ? ": " : "",
			   json_object_get(end, "text") ? api_text(end, "text") : "");
	if (made)
		note_switch(table, made);
}

int client_guests(int argc, char **argv)
{
	struct api_options options;
	struct table *table;
	json_t *answer, *guest;
	size_t i;
	int status = api_parse(argc, argv, API_HAS(JSON), 0, 0, "[--json]", &options);

	if (!status)
		status = api_ask_or_print(&options, "/api/v1/guests", NULL, NULL, &answer);
	if (status || !answer)
		return status;
	table = table_create("GUEST STATE MODE POLICY SET-BY >INSTR >CYC/INS >WALKS >EXITS "
			     ">SWITCHES");
	json_array_foreach(json_object_get(answer, "guests"), i, guest)
	{
		add_guest(table, guest);
		note_guest(table, guest);
	}
	json_decref(answer);
	return table_print(table);
}
