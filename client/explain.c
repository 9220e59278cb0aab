/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra explain: one access, step by step. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/client.h"
#include "client/options.h"
#include "client/report.h"
#include "client/session.h"
#include "web/view.h"

#ifndef PKGDATADIR
#define PKGDATADIR "/usr/share/umbra"
#endif

#define DEFAULT_GUEST "mov1234.elf"

static const char *const level_names[] = {
	[1] = "PT", [2] = "PD", [3] = "PDPT", [4] = "PML4", [5] = "PML5",
};

static const char *const table_names[] = {
	[UMBRA_TABLE_GUEST] = "guest",
	[UMBRA_TABLE_SHADOW] = "shadow",
	[UMBRA_TABLE_EPT] = "EPT",
};

static const char *const kind_names[] = {
	[UMBRA_STEP_REFERENCE] = "reference",     [UMBRA_STEP_AD] = "accessed_dirty",
	[UMBRA_STEP_WALK_FAILED] = "walk_failed", [UMBRA_STEP_EXIT] = "exit",
	[UMBRA_STEP_SOFTWARE] = "software",       [UMBRA_STEP_FAULT] = "fault",
	[UMBRA_STEP_TRANSLATED] = "translated",
};

static const char *const access_names[] = {
	[UMBRA_EXPLAIN_READ] = "read",
	[UMBRA_EXPLAIN_WRITE] = "write",
	[UMBRA_EXPLAIN_EXECUTE] = "execute",
};

/* In bare the guest's tables are the hardware's, and so are their addresses. */
static void print_entry(const struct umbra_step *step, const char *verb)
{
	char table[32], at[64];

	snprintf(table, sizeof(table), "%s %s", table_names[step->table], level_names[step->level]);
	if (step->table == UMBRA_TABLE_GUEST)
		snprintf(at, sizeof(at), "GPA 0x%-6" PRIx64 "  HPA 0x%" PRIx64, step->gpa,
			 step->hpa);
	else
		snprintf(at, sizeof(at), "HPA 0x%-8" PRIx64, step->hpa);
	printf("%-10s %-11s level %u  index %3u  entry 0x%016" PRIx64 "  at %s", verb, table,
	       step->level, step->index, step->entry, at);
	if (step->table == UMBRA_TABLE_EPT)
		printf("  for GPA 0x%" PRIx64, step->translates);
	putchar('\n');
}

static void print_error_code(uint32_t code)
{
	static const char *const bits[] = {"P", "W", "U", "RSVD", "I", "PK"};
	bool any = false;

	printf(" error code 0x%" PRIx32, code);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		if (code >> i & 1) {
			printf("%s%s", any ? " " : " (", bits[i]);
			any = true;
		}
	}
	if (any)
		putchar(')');
}

static void print_step(const struct umbra_step *step, unsigned int *number)
{
	printf("%s", step->kind == UMBRA_STEP_REFERENCE ? "" : "    ");
	switch (step->kind) {
	case UMBRA_STEP_REFERENCE:
		printf("%2u  ", ++*number);
		print_entry(step, "reads");
		break;
	case UMBRA_STEP_AD: print_entry(step, "sets A/D"); break;
	case UMBRA_STEP_SOFTWARE:
		print_entry(step, step->write ? "VMM writes" : "VMM reads");
		break;
	case UMBRA_STEP_WALK_FAILED: puts("walk ends without a translation"); break;
	case UMBRA_STEP_EXIT:
		printf("VM exit  %s", umbra_exit_reason_name(step->reason));
		if (step->reason == UMBRA_EXIT_ept_violation ||
		    step->reason == UMBRA_EXIT_ept_misconfiguration)
			printf(" at GPA 0x%" PRIx64, step->translates);
		if (step->reason == UMBRA_EXIT_page_fault)
			print_error_code(step->error_code);
		putchar('\n');
		break;
	case UMBRA_STEP_FAULT:
		printf("guest gets a page fault,");
		print_error_code(step->error_code);
		putchar('\n');
		break;
	case UMBRA_STEP_TRANSLATED: printf("HPA 0x%" PRIx64 "\n", step->hpa); break;
	}
}

static void print_explanation(const struct options *options, enum umbra_mode mode,
			      const struct umbra_explanation *e)
{
	unsigned int number = 0;

	printf("%s: %s of GVA 0x%" PRIx64 "%s\n", umbra_mode_name(mode),
	       access_names[options->access], options->gva,
	       options->first_touch ? ", first touch" : "");
	for (size_t i = 0; i < e->nr_steps; i++)
		print_step(&e->steps[i], &number);
	printf("%" PRIu64 " cycles for walks and exits\n", e->cycles);
	printf("%" PRIu64 " references, %" PRIu64 " exits, ", e->references, e->exits);
	if (e->translated)
		printf("HPA 0x%" PRIx64 "\n", e->hpa);
	else
		puts("page fault");
}

static json_t *hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

static json_t *step_json(const struct umbra_step *step)
{
	json_t *object = json_pack("{s:s}", "kind", kind_names[step->kind]);
	bool entry = step->kind == UMBRA_STEP_REFERENCE || step->kind == UMBRA_STEP_AD ||
		     step->kind == UMBRA_STEP_SOFTWARE;

	if (entry) {
		json_object_set_new(object, "table", json_string(table_names[step->table]));
		json_object_set_new(object, "level", json_integer(step->level));
		json_object_set_new(object, "index", json_integer(step->index));
		json_object_set_new(object, "entry", hex(step->entry));
		if (step->table == UMBRA_TABLE_GUEST)
			json_object_set_new(object, "gpa", hex(step->gpa));
		if (step->table == UMBRA_TABLE_EPT)
			json_object_set_new(object, "translates", hex(step->translates));
	}
	if (entry || step->kind == UMBRA_STEP_TRANSLATED)
		json_object_set_new(object, "hpa", hex(step->hpa));
	if (step->kind == UMBRA_STEP_SOFTWARE)
		json_object_set_new(object, "write", json_boolean(step->write));
	if (step->kind == UMBRA_STEP_EXIT)
		json_object_set_new(object, "reason",
				    json_string(umbra_exit_reason_name(step->reason)));
	if (step->kind == UMBRA_STEP_FAULT ||
	    (step->kind == UMBRA_STEP_EXIT && step->reason == UMBRA_EXIT_page_fault))
		json_object_set_new(object, "error_code", json_integer(step->error_code));
	return object;
}

static json_t *explanation_json(const struct options *options, enum umbra_mode mode,
				const struct umbra_explanation *e)
{
	json_t *steps = json_array();
	json_t *object;

	for (size_t i = 0; i < e->nr_steps; i++)
		json_array_append_new(steps, step_json(&e->steps[i]));
	object = json_pack("{s:s, s:o, s:s, s:b, s:o, s:I, s:I, s:I}", "mode",
			   umbra_mode_name(mode), "gva", hex(options->gva), "access",
			   access_names[options->access], "first_touch", options->first_touch,
			   "steps", steps, "references", (json_int_t)e->references, "exits",
			   (json_int_t)e->exits, "cycles", (json_int_t)e->cycles);
	if (object && e->translated)
		json_object_set_new(object, "hpa", hex(e->hpa));
	return object;
}

/* The guest that is explained when none is named: $UMBRA_GUESTS, beside the program, installed. */
static int find_default(const struct options *options, char path[PATH_MAX])
{
	const char *named = getenv("UMBRA_GUESTS");
	char program[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;

	if (named) {
		snprintf(path, PATH_MAX, "%s/" DEFAULT_GUEST, named);
		return 0; /* what was asked for, there or not */
	}
	if (n > 0) {
		program[n] = '\0';
		slash = strrchr(program, '/');
		*slash = '\0';
		if (snprintf(path, PATH_MAX, "%s/guests/" DEFAULT_GUEST, program) < PATH_MAX &&
		    !access(path, R_OK))
			return 0;
	}
	snprintf(path, PATH_MAX, PKGDATADIR "/guests/" DEFAULT_GUEST);
	if (!access(path, R_OK))
		return 0;
	return options_refuse(options, EX_NOINPUT,
			      "%s: not found; set UMBRA_GUESTS to its directory", path);
}

static int explain(const struct options *options, const struct mode_choice *choice,
		   const char *image, json_t *list)
{
	struct session_config config = {.options = options, .choice = *choice, .image = image};
	struct umbra_explanation *explanation;
	struct umbra_error error = {0};
	struct session *session;
	int status, err;

	status = session_create(&config, &session);
	if (status)
		return status;
	status = session_run(session);
	if (status > STATUS_SIGNAL)
		goto out; /* a signal */
	if (options->own_tables) {
		err = umbra_guest_explain_tables(session_guest(session), options->gva,
						 options->guest_page, options->levels, &error);
		if (err) {
			status =
				options_refuse(options, err == -EINVAL ? EX_USAGE : EX_SOFTWARE,
					       "%s: %s", umbra_mode_name(choice->mode), error.text);
			goto out;
		}
	}
	err = umbra_guest_explain(session_guest(session), options->gva, options->access,
				  options->first_touch, &explanation, &error);
	if (err) {
		status = options_refuse(options, err == -EINVAL ? EX_USAGE : EX_SOFTWARE, "%s: %s",
					error.subject, error.text);
		goto out;
	}
	status = 0;
	print_explanation(options, choice->mode, explanation);
	if (list &&
	    json_array_append_new(list, explanation_json(options, choice->mode, explanation)))
		status = options_refuse(options, EX_SOFTWARE, "out of memory");
	umbra_explanation_free(explanation);
out:
	session_destroy(session);
	return status;
}

int client_explain(int argc, char **argv)
{
	struct options options;
	char path[PATH_MAX];
	const char *image;
	json_t *list = NULL;
	FILE *json;
	int status;

	if (!options_parse(&options, VERB_EXPLAIN, argc, argv, &status))
		return status;
	image = options.image;
	if (!image) {
		status = find_default(&options, path);
		image = path;
	}
	if (!status)
		status = session_open_json(&options, &json);
	if (status)
		return status;
	if (json)
		list = json_array();
	report_costs(stdout, &options.costs);
	for (unsigned int i = 0; i < options.nr_choices && !status; i++)
		status = explain(&options, &options.choices[i], image, list);
	if (json && !status)
		return session_write_json(&options,
					  json_pack("{s:o, s:o}", "costs",
						    web_encode_costs(&options.costs),
						    "explanations", list),
					  json);
	if (json) {
		fclose(json);
		json_decref(list);
	}
	return status;
}
