/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra advise: for each guest whether another mode would cost less, and what to do about it. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/advise_vm.h"
#include "client/api.h"
#include "client/client.h"
#include "client/table.h"
#include "client/words.h"

/* Less than this is no reason to act, for an operator as for the policy. */
#define WORTH_PERCENT 2

/* What is known of one guest, and what follows. */
struct advice {
	const json_t *guest;
	const json_t *decision; /* the latest; NULL: none */
	const char *rival;      /* NULL: none */
	struct words_difference difference;
	bool acts; /* the policy switches by itself */
	char text[256];
	char command[512]; /* empty: nothing is to be done */
};

static void command(struct advice *advice, const struct api_options *options, const char *verb,
		    const char *words)
{
	bool elsewhere = strcmp(options->socket, API_DEFAULT_SOCKET) != 0;

	snprintf(advice->command, sizeof(advice->command), "umbra %s%s%s%s", verb,
		 elsewhere ? " --socket " : "", elsewhere ? options->socket : "", words);
}

static void judge(struct advice *advice, const struct api_options *options, bool frozen)
{
	const json_t *guest = advice->guest;
	const char *policy = api_text(guest, "policy"), *mode = api_text(guest, "mode");
	const struct words_difference *difference = &advice->difference;
	char words[256];

	advice->acts = !strcmp(policy, "auto") && !frozen;
	if (strcmp(api_text(guest, "state"), "running")) {
		advice->acts = false;
		snprintf(advice->text, sizeof(advice->text), "the guest is %s",
			 api_text(guest, "state"));
	} else if (!strcmp(mode, "bare")) {
		snprintf(advice->text, sizeof(advice->text), "bare has no VMM to switch");
	} else if (!strcmp(api_text(guest, "engine"), "kvm")) {
		snprintf(advice->text, sizeof(advice->text),
			 "no policy decides: %s is what the host's KVM has", mode);
	} else if (!advice->decision) {
		snprintf(advice->text, sizeof(advice->text), "nothing has been decided yet");
	} else if (strcmp(mode, api_text(advice->decision, "mode"))) {
		snprintf(advice->text, sizeof(advice->text),
			 "%s came on after the latest decision: wait for the next", mode);
	} else if (!difference->known || difference->percent >= 0) {
		snprintf(advice->text, sizeof(advice->text), "stay: %s is the cheapest", mode);
	} else if (difference->percent > -WORTH_PERCENT) {
		snprintf(advice->text, sizeof(advice->text), "stay: too little to act on");
	} else if (advice->acts) {
		snprintf(advice->text, sizeof(advice->text), "the policy acts by itself (%s)",
			 api_text(advice->decision, "reason"));
	} else if (frozen) {
		snprintf(advice->text, sizeof(advice->text),
			 "%s is cheaper, but all switching is frozen", advice->rival);
		command(advice, options, "thaw", "");
	} else if (!difference->sure) {
		snprintf(advice->text, sizeof(advice->text), "stay: the estimate is not sure");
	} else {
		snprintf(advice->text, sizeof(advice->text), "switch to %s", advice->rival);
		/* A name may look like an option. */
		snprintf(words, sizeof(words), "%s %s %s",
			 api_text(guest, "id")[0] == '-' ? " --" : "", api_text(guest, "id"),
			 advice->rival);
		command(advice, options, "mode", words);
	}
}

static int find_decision(const struct api_options *options, const json_t *guest,
			 json_t **ret_answer)
{
	*ret_answer = NULL;
	if (strcmp(api_text(guest, "state"), "running") || !strcmp(api_text(guest, "mode"), "bare"))
		return 0;
	return api_ask(options, "/api/v1/guests/%s/decisions?limit=1", api_text(guest, "id"), NULL,
		       ret_answer);
}

static void add_row(struct table *table, const struct advice *advice)
{
	const struct words_difference *difference = &advice->difference;

	table_cell(table, "%s", api_text(advice->guest, "id"));
	table_cell(table, "%s", api_text(advice->guest, "mode"));
	table_cell(table, "%s", api_text(advice->guest, "policy"));
	if (difference->known) {
		table_cell(table, "%.2f", difference->cycles / 1e6);
		table_cell(table, "%s", advice->rival);
		table_cell(table, "%.2f", difference->rival_cycles / 1e6);
		table_cell(table, "%+.1f%%", difference->percent);
		table_cell(table, "%.1f%%", difference->uncertainty);
	} else {
		for (int i = 0; i < 5; i++)
			table_cell(table, "-");
	}
	if (advice->command[0])
		table_note(table, "    %s: %s", advice->text, advice->command);
	else
		table_note(table, "    %s", advice->text);
}

static void add_object(json_t *list, const struct advice *advice)
{
	json_t *object = json_pack("{s:s,s:s,s:s,s:b,s:s}", "id", api_text(advice->guest, "id"),
				   "mode", api_text(advice->guest, "mode"), "policy",
				   api_text(advice->guest, "policy"), "acts", advice->acts,
				   "advice", advice->text);

	if (advice->difference.known) {
		json_object_set_new(object, "decision",
				    json_integer((json_int_t)api_number(advice->decision, "id")));
		json_object_set_new(object, "rival", json_string(advice->rival));
		json_object_set_new(object, "cycles", json_real(advice->difference.cycles));
		json_object_set_new(object, "rival_cycles",
				    json_real(advice->difference.rival_cycles));
		json_object_set_new(object, "difference_percent",
				    json_real(advice->difference.percent));
		json_object_set_new(object, "uncertainty_percent",
				    json_real(advice->difference.uncertainty));
		json_object_set_new(object, "sure", json_boolean(advice->difference.sure));
	}
	if (advice->command[0])
		json_object_set_new(object, "command", json_string(advice->command));
	json_array_append_new(list, object);
}

static int print_json(json_t *list)
{
	json_t *object = json_pack("{s:o}", "guests", list);
	char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;

	if (text)
		puts(text);
	else
		fputs("umbra: out of memory\n", stderr);
	free(text);
	json_decref(object);
	return text ? 0 : CLIENT_FAULT;
}

/* Of the daemon's own guests. */
static int advise_own(const struct api_options *options, const json_t *guests, bool frozen,
		      struct table *table, json_t *list)
{
	json_t *guest;
	size_t i;

	json_array_foreach(guests, i, guest)
	{
		struct advice advice = {.guest = guest};
		json_t *answer;
		int status = find_decision(options, guest, &answer);

		if (status)
			return status;
		advice.decision = json_array_get(json_object_get(answer, "decisions"), 0);
		advice.rival = advice.decision ? words_rival(advice.decision) : NULL;
		if (advice.rival)
			advice.difference = words_compare(advice.decision, advice.rival);
		judge(&advice, options, frozen);
		if (list)
			add_object(list, &advice);
		else
			add_row(table, &advice);
		json_decref(answer);
	}
	return 0;
}

/* @observed: guests that are VMs of other programs. */
static int print_tables(const struct api_options *options, const json_t *own,
			const json_t *observed, bool frozen)
{
	struct table *table;
	int status;

	if (json_array_size(own) || !json_array_size(observed)) {
		table = table_create("GUEST MODE POLICY >NOW OTHER >THERE >DIFFERENCE >+-");
		status = advise_own(options, own, frozen, table, NULL);
		if (status) {
			table_free(table);
			return status;
		}
		if (json_array_size(own))
			table_note(table, "NOW, THERE: million cycles an interval, measured and "
					  "estimated; +-: how unsure the estimate is.");
		status = table_print(table);
		if (status || !json_array_size(observed))
			return status;
		putchar('\n');
	}
	return advise_vm_table(observed);
}

static int advise(const struct api_options *options, const json_t *guests, bool frozen)
{
	json_t *own = json_array(), *observed = json_array(), *list = json_array(), *guest;
	const char *id = options->nr_words ? options->words[0] : NULL;
	bool as_json = options->value[API_JSON];
	int status;
	size_t i;

	json_array_foreach(guests, i, guest)
	{
		bool is_observed = json_is_true(json_object_get(guest, "observed"));

		if (!id || !strcmp(id, api_text(guest, "id")))
			json_array_append(is_observed ? observed : own, guest);
	}
	if (id && !json_array_size(own) && !json_array_size(observed)) {
		fprintf(stderr, "umbra: there is no guest with this id: %s\n", id);
		status = CLIENT_NO_FILE;
	} else if (as_json) {
		status = advise_own(options, own, frozen, NULL, list);
		advise_vm_add(list, observed);
		if (!status)
			status = print_json(json_incref(list));
	} else if (id && json_array_size(observed)) {
		status = advise_vm_print(json_array_get(observed, 0));
	} else {
		status = print_tables(options, own, observed, frozen);
	}
	json_decref(own);
	json_decref(observed);
	json_decref(list);
	return status;
}

int client_advise(int argc, char **argv)
{
	struct api_options options;
	json_t *guests, *host;
	int status = api_parse(argc, argv, API_HAS(JSON), 0, 1, "[--json] [ID]", &options);

	if (!status)
		status = api_ask(&options, "/api/v1/host", NULL, NULL, &host);
	if (status)
		return status;
	status = api_ask(&options, "/api/v1/guests", NULL, NULL, &guests);
	if (!status) {
		status = advise(&options, json_object_get(guests, "guests"),
				json_is_true(json_object_get(host, "frozen")));
		json_decref(guests);
	}
	json_decref(host);
	return status;
}
