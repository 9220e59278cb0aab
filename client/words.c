/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/api.h"
#include "client/report.h"
#include "client/words.h"

#define MILLION  1e6
#define LINE_MAX 98

enum reason {
#define POLICY_REASON(name, help) REASON_##name,
#include "policy/reasons.def"
#undef POLICY_REASON
	REASON_COUNT
};

static const char *const reason_names[REASON_COUNT] = {
#define POLICY_REASON(name, help) #name,
#include "policy/reasons.def"
#undef POLICY_REASON
};

/* Where ${...} stands the decision's own is put: mode, rival, target, advantage, threshold. */
static const char *sentence(enum reason reason)
{
	/* No default: the compiler tells of one that has none. */
	switch (reason) {
	case REASON_bare: return "the guest is bare: it has no VMM whose mode could be switched";
	case REASON_pinned: return "the mode is pinned: the policy watches and does nothing";
	case REASON_advise:
		return "the policy only advises here: it would have switched to ${target}";
	case REASON_frozen:
		return "all switching is frozen: the policy would have switched to ${target}";
	case REASON_refill:
		return "most of the interval went into filling tables after the last switch; what "
		       "was done between the fills is too little to judge by";
	case REASON_cheapest: return "${mode} is the cheapest of the modes";
	case REASON_hysteresis:
		return "${rival} would be cheaper, but by less than it takes to act on";
	case REASON_accumulating:
		return "${rival} would be cheaper, but what it would have saved by now "
		       "(${advantage} million cycles) does not outgrow what a switch takes "
		       "(${threshold} million)";
	case REASON_dwell:
		return "${rival} would be cheaper, but the last switch was too short ago";
	case REASON_hold_off:
		return "${rival} looks cheaper, but the last switches to it did not pay: it is not "
		       "tried again yet";
	case REASON_cheaper:
		return "${rival} would have saved ${advantage} million cycles by now, more than a "
		       "switch to it takes (${threshold} million)";
	case REASON_probe:
		return "${rival} may be cheaper: it would have saved ${advantage} million cycles "
		       "by now as far as can be told from ${mode}, more than the doubled price "
		       "of a try (${threshold} million)";
	case REASON_did_not_pay:
		return "since the last switch the same work has cost more than before in "
		       "${target}: the guest goes back";
	case REASON_COUNT: break;
	}
	return NULL;
}

static double million(const json_t *object, const char *key)
{
	return api_number(object, key) / MILLION;
}

static void fill_in(const json_t *decision, const char *name, size_t len, char *buffer, size_t size)
{
	char key[32];
	const json_t *value;

	snprintf(key, sizeof(key), "%.*s", (int)len, name);
	value = json_object_get(decision, key);
	if (json_is_number(value))
		snprintf(buffer, size, "%.2f", json_number_value(value) / MILLION);
	else
		snprintf(buffer, size, "%s", api_text(decision, key));
}

void words_reason(const json_t *decision, char *buffer, size_t size)
{
	const char *text = api_text(decision, "reason"), *place;
	size_t used = 0;

	for (enum reason reason = 0; reason < REASON_COUNT; reason++) {
		if (!strcmp(text, reason_names[reason])) {
			text = sentence(reason);
			break;
		}
	}
	buffer[0] = '\0';
	while ((place = strstr(text, "${")) && used < size) {
		size_t len = strcspn(place + 2, "}");

		snprintf(buffer + used, size - used, "%.*s", (int)(place - text), text);
		used += strlen(buffer + used);
		fill_in(decision, place + 2, len, buffer + used, size - used);
		used += strlen(buffer + used);
		text = place + 2 + len + 1;
	}
	snprintf(buffer + used, size - used, "%s", text);
}

const char *words_outcome(const json_t *paid)
{
	if (!paid)
		return "its outcome is open";
	return json_is_true(paid) ? "it paid" : "it did not pay";
}

const char *words_rival(const json_t *decision)
{
	const char *rival = api_text(decision, "rival");

	return strcmp(rival, api_text(decision, "mode")) ? rival : NULL;
}

struct words_difference words_compare(const json_t *decision, const char *mode)
{
	const json_t *costs = json_object_get(decision, "cost");
	const json_t *on = json_object_get(costs, api_text(decision, "mode"));
	const json_t *other = json_object_get(costs, mode);
	double cycles = api_number(on, "cycles"), there = api_number(other, "cycles");
	double uncertainty = api_number(other, "uncertainty");

	if (!on || !other || cycles <= 0)
		return (struct words_difference){.known = false};
	return (struct words_difference){
		.known = true,
		.cycles = cycles,
		.rival_cycles = there,
		.percent = 100 * (there - cycles) / cycles,
		.uncertainty = 100 * uncertainty / cycles,
		.sure = fabs(there - cycles) > uncertainty,
	};
}

void words_paragraph(const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > LINE_MAX) {
			putchar('\n');
			column = 0;
		}
		column += (size_t)printf("%s%.*s", column ? " " : "", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
	putchar('\n');
}

/* --- one decision, all of it ------------------------------------------------------------------ */

static const char *grouped(double number, char buffer[GROUPED_SIZE])
{
	return report_grouped(number > 0 ? (uint64_t)llround(number) : 0, buffer);
}

static double input(const json_t *decision, const char *name)
{
	return api_number(json_object_get(json_object_get(decision, "inputs"), name), "value");
}

static bool has_input(const json_t *decision, const char *name)
{
	return json_object_get(json_object_get(decision, "inputs"), name) != NULL;
}

static void print_title(const char *guest, const json_t *decision)
{
	double count = api_number(decision, "count");
	char number[GROUPED_SIZE];

	printf("decision %.0f of %s", api_number(decision, "id"), guest);
	if (json_object_get(decision, "at"))
		printf(", %s", api_text(decision, "at"));
	printf(", after %s instructions\n", grouped(api_number(decision, "instruction"), number));
	if (count > 1)
		printf("It is the last of %s decisions from %.0f on to stay for the same reason; "
		       "the "
		       "figures are its own.\n",
		       grouped(count, number), api_number(decision, "first_id"));
}

/* A kind of thing that cost cycles. */
static void print_share(const json_t *decision, const char *what, const char *count,
			const char *cycles)
{
	double all = input(decision, "cycles"), part = input(decision, cycles);
	char number[GROUPED_SIZE] = "";

	if (!has_input(decision, cycles) || (!part && !count))
		return;
	printf("  %-38s %14s %12.2f million cycles %6.1f%%\n", what,
	       count ? grouped(input(decision, count), number) : "", part / MILLION,
	       all > 0 ? 100 * part / all : 0);
}

/* What else was counted, where there was any. */
static const struct {
	const char *name, *words;
} counted[] = {
	{"exits_mode", "  of these only because of the mode"},
	{"ept_fills", "EPT entries filled"},
	{"shadow_fills", "shadow entries filled"},
	{"shadow_table_reads", "reads of tables emulated"},
	{"shadow_table_writes", "writes to tables emulated"},
	{"shadow_tables_located", "tables located"},
	{"shadow_unsyncs", "shadow tables that went out of sync"},
	{"shadow_syncs", "shadow tables repaired"},
	{"shadow_remote_flushes", "flushes of other vCPUs"},
	{"guest_page_faults", "page faults of the guest"},
	{"guest_cr3_loads", "loads of CR3 by the guest"},
	{"guest_invlpgs", "INVLPGs by the guest"},
	{"guest_table_writes", "writes of the guest to its tables"},
};

static void print_measured(const json_t *decision)
{
	const json_t *inputs = json_object_get(decision, "inputs");
	const char *separator = "  not seen in this mode: ";

	printf("\n%s was on. In the interval, %.2f million instructions and %.2f million cycles:\n",
	       api_text(decision, "mode"), input(decision, "instructions") / MILLION,
	       input(decision, "cycles") / MILLION);
	print_share(decision, "TLB misses, page walks for them", "walks", "walk_cycles");
	print_share(decision, "filling tables after a switch", NULL, "refill_cycles");
	print_share(decision, "the switch itself", NULL, "switch_cycles");
	print_share(decision, "VM exits", "exits", "exit_cycles");
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		const json_t *one = json_object_get(inputs, counted[i].name);
		char number[GROUPED_SIZE];

		if (api_number(one, "value") <= 0)
			continue;
		printf("  %-38s %14s%s\n", counted[i].words,
		       grouped(api_number(one, "value"), number),
		       json_is_true(json_object_get(one, "model_only"))
			       ? "   (a simulator alone sees them)"
			       : "");
	}
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		if (strncmp(counted[i].name, "guest_", 6) || has_input(decision, counted[i].name))
			continue;
		printf("%s%s", separator, counted[i].words);
		separator = ", ";
	}
	if (*separator == ',')
		putchar('\n');
}

static void print_costs(const json_t *decision)
{
	const json_t *costs = json_object_get(decision, "cost"), *cost;
	const char *mode;

	puts("\nWhat the interval cost or would have cost, in million cycles:");
	json_object_foreach((json_t *)costs, mode, cost)
	{
		struct words_difference difference = words_compare(decision, mode);
		bool on = !strcmp(mode, api_text(decision, "mode"));
		char doubt[32] = "";

		if (!on)
			snprintf(doubt, sizeof(doubt), "+- %.2f", million(cost, "uncertainty"));
		printf("  %-8s %12.2f %-12s %s", mode, million(cost, "cycles"), doubt,
		       on ? "measured, filling after a switch set aside" : "estimated");
		if (!on && difference.known)
			printf(", %.1f%% %s%s", fabs(difference.percent),
			       difference.percent < 0 ? "less" : "more",
			       difference.sure ? "" : ", which is not sure");
		putchar('\n');
	}
}

static void print_decided(const json_t *decision)
{
	const char *action = api_text(decision, "action"), *mode = api_text(decision, "mode");
	const char *rival = words_rival(decision);
	char reason[512], text[1024];

	putchar('\n');
	if (rival) {
		snprintf(text, sizeof(text),
			 "A switch to %s, the best of the others, costs %.2f million cycles: "
			 "pause, teardown and the filling that follows. It pays to make it when %s "
			 "would have saved %.2f million; that is %.2f by now.",
			 rival, million(decision, "switch_cost"), rival,
			 million(decision, "threshold"), million(decision, "advantage"));
		words_paragraph(text);
		putchar('\n');
	}
	words_reason(decision, reason, sizeof(reason));
	if (!strcmp(action, "stay"))
		snprintf(text, sizeof(text), "The guest stayed in %s (%s): %s.", mode,
			 api_text(decision, "reason"), reason);
	else
		snprintf(text, sizeof(text), "The guest was switched %sto %s (%s): %s.",
			 strcmp(action, "rollback") ? "" : "back ", api_text(decision, "target"),
			 api_text(decision, "reason"), reason);
	words_paragraph(text);
}

static void print_after(const json_t *decision)
{
	const json_t *after = json_object_get(decision, "after");
	double before = api_number(after, "cycles_per_instruction_before");
	double since = api_number(after, "cycles_per_instruction");
	double intervals = api_number(after, "intervals");
	bool stayed = !strcmp(api_text(decision, "action"), "stay");
	bool paid = json_is_true(json_object_get(after, "paid"));
	char text[512], change[32] = "";

	putchar('\n');
	if (!json_is_object(after)) {
		puts("What came of it is not known yet.");
		return;
	}
	if (before > 0)
		snprintf(change, sizeof(change), " (%+.1f%%)", 100 * (since - before) / before);
	snprintf(text, sizeof(text),
		 "What came of it: in the next %.0f interval%s an instruction cost %.3f cycles, "
		 "before %.3f%s; filling tables took %.2f million cycles. %s",
		 intervals, intervals == 1 ? "" : "s", since, before, change,
		 million(after, "refill_cycles"),
		 stayed ? paid ? "No other mode would have been cheaper: to stay was right."
			       : "Another mode would have been cheaper."
		 : paid ? "The switch paid."
			: "The switch did not pay.");
	words_paragraph(text);
}

void words_explain(const char *guest, const json_t *decision)
{
	print_title(guest, decision);
	print_measured(decision);
	if (json_object_size(json_object_get(decision, "cost")) > 1)
		print_costs(decision);
	print_decided(decision);
	print_after(decision);
}
