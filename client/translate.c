/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra translate: where an address of a live guest leads, in each mode. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/api.h"
#include "client/client.h"
#include "umbra/translate.h"

/* How a walk ends, behind its references. */
static const char *const ends[UMBRA_WALK_END_COUNT] = {
	[UMBRA_WALK_NO_TABLES] = "not on: it has no tables, and would begin with empty ones",
	[UMBRA_WALK_TRANSLATED] = "the hardware finds the page",
	[UMBRA_WALK_FAULT] = "the guest gets a page fault, and the VMM does not see it",
	[UMBRA_WALK_DEVICE] = "a device answers",
	[UMBRA_WALK_NOBODY] = "nobody answers there: reads give all ones",
	[UMBRA_WALK_EXIT_FILL] =
		"no entry yet that allows it: the VMM makes one and the hardware walks again",
	[UMBRA_WALK_EXIT_FAULT] = "the VMM hands the guest its page fault",
	[UMBRA_WALK_EXIT_EMULATE] = "the VMM carries the access out itself, each time",
	[UMBRA_WALK_EXIT_DEVICE] = "the VMM has the device answer",
	[UMBRA_WALK_EXIT_NOBODY] = "the VMM sees that nobody answers there: reads give all ones",
};

/* Why a figure is not there. */
static const char *const unknowns[UMBRA_UNKNOWN_COUNT] = {
	[UMBRA_KNOWN] = "known",
	[UMBRA_UNKNOWN_FAULT] = "there is no page: the guest gets a page fault",
	[UMBRA_UNKNOWN_DEVICE] = "a device answers: no walk ends in a page",
	[UMBRA_UNKNOWN_NOBODY] = "nobody answers there",
	[UMBRA_UNKNOWN_UNTOUCHED] =
		"not known: the guest's page gets its frame when it is first touched",
	[UMBRA_UNKNOWN_EMULATED] = "the VMM carries out each such access: no walk succeeds",
	[UMBRA_UNKNOWN_PIECES] =
		"not known: a large page is mapped whole only if no table lies in it",
	[UMBRA_UNKNOWN_BARE] = "not known: a guest without a VMM has its memory elsewhere",
};

/* Of another umbrad's build may come what this one does not know. */
static const char *end_words(const char *name)
{
	for (enum umbra_walk_end end = 0; end < UMBRA_WALK_END_COUNT; end++)
		if (!strcmp(umbra_walk_end_name(end), name))
			return ends[end];
	return name;
}

static const char *unknown_words(const char *name)
{
	for (enum umbra_unknown unknown = 0; unknown < UMBRA_UNKNOWN_COUNT; unknown++)
		if (!strcmp(umbra_unknown_name(unknown), name))
			return unknowns[unknown];
	return name;
}

static void print_names(const char *before, const json_t *list, const char *after)
{
	json_t *name;
	size_t i;

	if (!json_array_size(list))
		return;
	fputs(before, stdout);
	json_array_foreach(list, i, name) printf("%s%s", i ? " " : "", json_string_value(name));
	fputs(after, stdout);
}

static void print_entries(const json_t *steps)
{
	json_t *step;
	size_t i;

	json_array_foreach(steps, i, step)
	{
		char table[32];
		bool gpa = json_object_get(step, "gpa") != NULL;

		snprintf(table, sizeof(table), "%s %s", api_text(step, "table"),
			 api_text(step, "name"));
		printf("  %2zu  %-11s %4.0f  %-18s  at %s %s", i + 1, table,
		       api_number(step, "index"), api_text(step, "entry"), gpa ? "GPA" : "HPA",
		       api_text(step, gpa ? "gpa" : "hpa"));
		if (json_object_get(step, "translates"))
			printf(" for GPA %s", api_text(step, "translates"));
		print_names(": ", json_object_get(step, "flags"), "");
		putchar('\n');
	}
}

static void print_error(const json_t *object)
{
	printf("error code 0x%x", (unsigned int)api_number(object, "error_code"));
	print_names(" (", json_object_get(object, "error_flags"), ")");
}

static const char *page_size(double bytes)
{
	return bytes >= 1 << 30   ? "1 GiB"
	       : bytes >= 4 << 20 ? "4 MiB"
	       : bytes >= 2 << 20 ? "2 MiB"
				  : "4 KiB";
}

static void print_guest(const json_t *guest)
{
	const char *outcome = api_text(guest, "outcome");

	if (!strcmp(api_text(guest, "paging"), "off"))
		puts("the guest does not page");
	else
		printf("the guest's own tables: %s paging, CR3 %s%s%s\n", api_text(guest, "paging"),
		       api_text(guest, "cr3"), json_object_get(guest, "pdpte") ? ", PDPTE " : "",
		       json_object_get(guest, "pdpte") ? api_text(guest, "pdpte") : "");
	print_entries(json_object_get(guest, "entries"));
	if (!strcmp(outcome, "page_fault")) {
		fputs("  the guest gets a page fault, ", stdout);
		print_error(guest);
		putchar('\n');
		return;
	}
	printf("  GPA %s", api_text(guest, "gpa"));
	if (json_object_get(guest, "page_bytes"))
		printf(", a page of %s: %s, %s, %s; protection key %.0f",
		       page_size(api_number(guest, "page_bytes")),
		       json_is_true(json_object_get(guest, "write")) ? "writable" : "read-only",
		       json_is_true(json_object_get(guest, "user")) ? "user" : "supervisor",
		       json_is_true(json_object_get(guest, "execute")) ? "executable"
								       : "not executable",
		       api_number(guest, "key"));
	puts(!strcmp(outcome, "device")   ? "; a device answers"
	     : !strcmp(outcome, "nobody") ? "; nobody answers: reads give all ones"
					  : "");
}

static void print_walk(const json_t *walk)
{
	const json_t *steps = json_object_get(walk, "steps");
	const char *end = api_text(walk, "end"), *unknown = api_text(walk, "walk_unknown");
	bool bare = !strcmp(api_text(walk, "mode"), "bare");
	bool translated = !strcmp(end, "translated");

	printf("\n%s%s: ", api_text(walk, "mode"),
	       json_is_true(json_object_get(walk, "on")) ? ", which is on" : "");
	if (strcmp(end, "no_tables"))
		printf("%zu reference%s", json_array_size(steps),
		       json_array_size(steps) == 1 ? "" : "s");
	else
		fputs(bare ? "not on: a guest without a VMM walks its own tables" : end_words(end),
		      stdout);
	if (json_object_get(walk, "exit_reason"))
		printf(", VM exit %s", api_text(walk, "exit_reason"));
	if (json_object_get(walk, "exit_gpa"))
		printf(" at GPA %s", api_text(walk, "exit_gpa"));
	if (json_object_get(walk, "error_code")) {
		fputs(", ", stdout);
		print_error(walk);
	}
	putchar('\n');
	print_entries(steps);
	if (strcmp(end, "no_tables"))
		printf("  %s\n", end_words(end));
	if (!json_object_get(walk, "walk_unknown"))
		printf("  %s: %.0f references, an entry of the TLB for %s\n",
		       translated ? "in all" : "a walk that finds all in place",
		       api_number(walk, "references"), page_size(api_number(walk, "page_bytes")));
	else
		printf("  a walk that finds all in place: %s\n", unknown_words(unknown));
	if (json_object_get(walk, "hpa"))
		printf("  HPA %s\n", api_text(walk, "hpa"));
	else if (strcmp(unknown, api_text(walk, "hpa_unknown")))
		printf("  HPA %s\n", unknown_words(api_text(walk, "hpa_unknown")));
}

static void print_translation(const json_t *answer)
{
	const char *privilege = api_text(answer, "privilege");
	json_t *walk;
	size_t i;

	printf("%s, vCPU %.0f after %.0f instructions: %s of GVA %s by the %s\n",
	       api_text(answer, "id"), api_number(answer, "cpu"),
	       api_number(answer, "instructions"), api_text(answer, "access"),
	       api_text(answer, "gva"),
	       strcmp(privilege, "supervisor_ac") ? privilege : "supervisor with EFLAGS.AC set");
	print_guest(json_object_get(answer, "guest"));
	json_array_foreach(json_object_get(answer, "walks"), i, walk) print_walk(walk);
}

/* The option as umbrad wants it, if it was given and can be sent as it is. */
static bool add_value(char *path, size_t size, const char *name, const char *value)
{
	size_t used = strlen(path);

	if (!value)
		return true;
	if (!*value || strspn(value, "0123456789abcdefghijklmnopqrstuvwxyzABCDEF") != strlen(value))
		return false;
	return (size_t)snprintf(path + used, size - used, "&%s=%s", name, value) < size - used;
}

int client_translate(int argc, char **argv)
{
	struct api_options options;
	char path[256] = "/api/v1/guests/%s/translate?";
	json_t *answer;
	int status = api_parse(
		argc, argv, API_HAS(JSON) | API_HAS(CPU) | API_HAS(ACCESS) | API_HAS(MODE), 2, 2,
		"[--json] [--cpu N] [--access r|w|x] [--mode MODE] ID GVA", &options);

	if (status)
		return status;
	if (!add_value(path, sizeof(path), "gva", options.words[1])) {
		fprintf(stderr, "umbra translate: GVA: an address as 0x1234 was expected, not %s\n",
			options.words[1]);
		return CLIENT_USAGE;
	}
	if (!add_value(path, sizeof(path), "access", options.value[API_ACCESS]) ||
	    !add_value(path, sizeof(path), "mode", options.value[API_MODE]) ||
	    !add_value(path, sizeof(path), "cpu", options.value[API_CPU])) {
		fputs("umbra translate: r, w or x was expected of --access, a mode's name of "
		      "--mode\n",
		      stderr);
		return CLIENT_USAGE;
	}
	status = api_ask_or_print(&options, path, options.words[0], NULL, &answer);
	if (status || !answer)
		return status;
	print_translation(answer);
	json_decref(answer);
	return 0;
}
