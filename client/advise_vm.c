/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/advise_vm.h"
#include "client/api.h"
#include "client/table.h"
#include "client/words.h"

static const char *const no_advice = "it has not been measured for long enough";

/* The modes that a VM of the host's KVM can have. */
static const char *const modes[] = {"shadow", "ept"};

enum { REASON_MAX = 90 };

#define NR_MODES (sizeof(modes) / sizeof(modes[0]))

static const json_t *cost_of(const json_t *advice, const char *mode)
{
	return json_object_get(json_object_get(advice, "cost"), mode);
}

/* "12.3%" of guest time; ">=4.5%": not all of it is known; million cycles a second; or a dash. */
static void share_cell(struct table *table, const json_t *advice, const json_t *cost)
{
	const json_t *all = json_object_get(cost, "cycles_per_second");
	const json_t *least = json_object_get(cost, "least_per_second");
	const json_t *known = json_is_number(all) ? all : least;
	double guest = api_number(advice, "guest_cycles_per_second");

	if (!json_is_number(known))
		table_cell(table, "-");
	else if (guest > 0)
		table_cell(table, "%s%.1f%%",
			   known == all ? "" : ">=", 100 * json_number_value(known) / guest);
	else
		table_cell(table, "%s%.1fM/s",
			   known == all ? "" : ">=", json_number_value(known) / 1e6);
}

/* The rest of a long one is for `advise ID`. */
static void note_reason(struct table *table, const char *reason)
{
	bool cut = strlen(reason) > REASON_MAX;

	table_note(table, "    %.*s%s", REASON_MAX, reason, cut ? "..." : "");
}

/* "mode, huge_pages" */
static void note_actions(struct table *table, const json_t *advice)
{
	const json_t *list = json_object_get(advice, "recommendations"), *one;
	char text[128] = "";
	size_t i;

	json_array_foreach(list, i, one)
	{
		size_t length = strlen(text);

		snprintf(text + length, sizeof(text) - length, "%s%s", i ? ", " : "",
			 api_text(one, "action"));
	}
	if (*text)
		table_note(table, "    recommended: %s", text);
}

int advise_vm_table(const json_t *guests)
{
	struct table *table = table_create("GUEST MODE >SHADOW >EPT BETTER CONFIDENCE");
	const json_t *guest;
	size_t i;

	json_array_foreach(guests, i, guest)
	{
		const json_t *advice = json_object_get(guest, "advice");

		table_cell(table, "%s", api_text(guest, "id"));
		table_cell(table, "%s", api_text(guest, "mode"));
		for (size_t j = 0; j < NR_MODES; j++)
			share_cell(table, advice, cost_of(advice, modes[j]));
		table_cell(table, "%s", api_text(advice, "better"));
		table_cell(table, "%s", api_text(advice, "confidence"));
		note_reason(table, advice ? api_text(advice, "reason") : no_advice);
		note_actions(table, advice);
	}
	table_note(table,
		   "SHADOW, EPT: page walks and the mode's exits, of guest time; >=: not all is "
		   "known.");
	table_note(table, "Reasons, what is missing and what can be done: umbra advise ID.");
	return table_print(table);
}

static void number_cell(struct table *table, const json_t *cost, const char *key)
{
	const json_t *number = json_object_get(cost, key);

	if (json_is_number(number))
		table_cell(table, "%.1f", json_number_value(number) / 1e6);
	else
		table_cell(table, "-");
}

static int print_costs(const json_t *advice)
{
	struct table *table = table_create("MODE >OF-GUEST-TIME >WALKS >EXITS >SUM >+-");

	for (size_t i = 0; i < NR_MODES; i++) {
		const json_t *cost = cost_of(advice, modes[i]);

		table_cell(table, "%s", modes[i]);
		share_cell(table, advice, cost);
		number_cell(table, cost, "walks_per_second");
		number_cell(table, cost, "exits_per_second");
		number_cell(table, cost, "cycles_per_second");
		number_cell(table, cost, "uncertainty");
	}
	table_note(table, "WALKS, EXITS, SUM, +-: million cycles a second.");
	return table_print(table);
}

/* How much of the VM's memory KVM maps in pages of each size. */
static void print_pages(const json_t *pages)
{
	static const struct {
		const char *name;
		double bytes;
	} sizes[] = {{"4k", 0x1p12}, {"2m", 0x1p21}, {"1g", 0x1p30}};
	double mapped = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		mapped += api_number(pages, sizes[i].name) * sizes[i].bytes;
	if (mapped <= 0)
		return;
	if (mapped < 0x1p20)
		printf("\nKVM maps %.0f KiB:", mapped / 0x1p10);
	else
		printf("\nKVM maps %.0f MiB:", mapped / 0x1p20);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		printf("%s %.0f%% in %s pages", i ? "," : "",
		       100 * api_number(pages, sizes[i].name) * sizes[i].bytes / mapped,
		       sizes[i].name);
	putchar('\n');
}

static void print_paragraph(const char *what, const char *text, const char *more)
{
	char paragraph[1024];

	snprintf(paragraph, sizeof(paragraph), "%s: %s%s%s", what, text, more ? "; how: " : "",
		 more ? more : "");
	words_paragraph(paragraph);
}

int advise_vm_print(const json_t *guest)
{
	const json_t *advice = json_object_get(guest, "advice"), *one;
	size_t i;
	int status;

	printf("%s: VM of %s, mode %s, better %s, confidence %s\n\n", api_text(guest, "id"),
	       api_text(json_object_get(guest, "vm"), "process"), api_text(guest, "mode"),
	       api_text(advice, "better"), api_text(advice, "confidence"));
	if (!advice) {
		print_paragraph("no advice", no_advice, NULL);
		return 0;
	}
	status = print_costs(advice);
	print_pages(json_object_get(json_object_get(guest, "kvm"), "pages"));
	putchar('\n');
	print_paragraph("why", api_text(advice, "reason"), NULL);
	json_array_foreach(json_object_get(advice, "missing"), i, one)
		print_paragraph(api_text(one, "what"), api_text(one, "why"), NULL);
	json_array_foreach(json_object_get(advice, "recommendations"), i, one)
	{
		putchar('\n');
		print_paragraph(api_text(one, "action"), api_text(one, "reason"),
				api_text(one, "how"));
	}
	return status;
}

void advise_vm_add(json_t *list, const json_t *guests)
{
	const json_t *guest;
	size_t i;

	json_array_foreach(guests, i, guest)
	{
		json_t *advice = json_object_get(guest, "advice");
		json_t *object =
			json_pack("{s:s,s:s,s:b,s:s}", "id", api_text(guest, "id"), "policy",
				  api_text(guest, "policy"), "acts", false, "advice",
				  advice ? api_text(advice, "reason") : no_advice);

		if (json_object_get(guest, "mode"))
			json_object_set(object, "mode", json_object_get(guest, "mode"));
		if (advice)
			json_object_set(object, "observed", advice);
		json_array_append_new(list, object);
	}
}
