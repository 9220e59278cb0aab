/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What umbra explain shows of an access: as text and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/explanation.h"
#include "schemas/types.h"

static const char *const kind_names[] = {
	[UMBRA_STEP_REFERENCE] = "reference",     [UMBRA_STEP_AD] = "accessed_dirty",
	[UMBRA_STEP_WALK_FAILED] = "walk_failed", [UMBRA_STEP_EXIT] = "exit",
	[UMBRA_STEP_SOFTWARE] = "software",       [UMBRA_STEP_FAULT] = "fault",
	[UMBRA_STEP_TRANSLATED] = "translated",   [UMBRA_STEP_DEVICE] = "device",
	[UMBRA_STEP_NOBODY] = "nobody",
};

static const char *const read_back_names[] = {
	[UMBRA_READ_BACK_NO_TABLES] = "no_tables",
	[UMBRA_READ_BACK_UNMAPPED] = "unmapped",
	[UMBRA_READ_BACK_FAULT] = "fault",
	[UMBRA_READ_BACK_DONE] = "done",
};

/* --- text --------------------------------------------------------------------------------- */

/* In bare the guest's tables are the hardware's, and so are their addresses. */
static void print_entry(enum umbra_mode mode, const struct umbra_step *step, const char *verb)
{
	char table[32], at[64];

	snprintf(table, sizeof(table), "%s %s", umbra_table_name(mode, step->table),
		 umbra_level_name(step->level));
	if (step->table == UMBRA_TABLE_GUEST)
		snprintf(at, sizeof(at), "GPA 0x%-6" PRIx64 "  HPA 0x%" PRIx64, step->gpa,
			 step->hpa);
	else
		snprintf(at, sizeof(at),
			 step->table == UMBRA_TABLE_EPT ? "HPA 0x%-8" PRIx64 : "HPA 0x%" PRIx64,
			 step->hpa);
	printf("%-10s %-11s level %u  index %3u  entry 0x%016" PRIx64 "  at %s", verb, table,
	       step->level, step->index, step->entry, at);
	if (step->table == UMBRA_TABLE_EPT)
		printf("  for GPA 0x%" PRIx64, step->translates);
	putchar('\n');
}

static void print_error_code(uint32_t code)
{
	const char *name, *before = " (";
	unsigned int position = 0;

	printf(" error code 0x%" PRIx32, code);
	while ((name = umbra_error_code_flag(code, &position))) {
		printf("%s%s", before, name);
		before = " ";
	}
	if (code)
		putchar(')');
}

static void print_step(enum umbra_mode mode, const struct umbra_step *step, unsigned int *number)
{
	fputs(step->kind == UMBRA_STEP_REFERENCE ? "" : "    ", stdout);
	switch (step->kind) {
	case UMBRA_STEP_REFERENCE:
		printf("%2u  ", ++*number);
		print_entry(mode, step, "reads");
		break;
	case UMBRA_STEP_AD: print_entry(mode, step, "sets A/D"); break;
	case UMBRA_STEP_SOFTWARE:
		print_entry(mode, step, step->write ? "VMM writes" : "VMM reads");
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
	case UMBRA_STEP_DEVICE:
		printf("the device at GPA 0x%" PRIx64 " answers\n", step->gpa);
		break;
	case UMBRA_STEP_NOBODY: puts("nobody answers: all ones"); break;
	}
}

static void print_steps(enum umbra_mode mode, const struct umbra_steps *steps, const char *indent)
{
	unsigned int number = 0;

	for (size_t i = 0; i < steps->nr; i++) {
		fputs(indent, stdout);
		print_step(mode, &steps->step[i], &number);
	}
}

/* An entry as what it says: where it leads and what it allows. */
static void print_leaf(enum umbra_mode mode, const struct umbra_leaf *leaf, const char *letter,
		       const char *role)
{
	const struct umbra_step *step = &leaf->step;
	bool guest = step->table == UMBRA_TABLE_GUEST;
	char maps[32] = "no page", names[48] = "";
	unsigned int position = 0;
	const char *name;

	if (leaf->maps != UINT64_MAX)
		snprintf(maps, sizeof(maps), "%s 0x%" PRIx64, guest ? "GPA" : "HPA", leaf->maps);
	while ((name = umbra_entry_flag(step, &position))) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%s%s", used ? " " : "", name);
	}
	printf("    %s  0x%016" PRIx64 "  %-14s  %-11s  %s %s at %s 0x%" PRIx64 ": %s\n", letter,
	       step->entry, maps, names, umbra_table_name(mode, step->table),
	       umbra_level_name(step->level), guest ? "GPA" : "HPA", guest ? step->gpa : step->hpa,
	       role);
}

static void print_read_back(enum umbra_mode mode, const struct umbra_explanation *e)
{
	const struct umbra_read_back *back = &e->read_back;
	bool done = back->state == UMBRA_READ_BACK_DONE;

	switch (back->state) {
	case UMBRA_READ_BACK_NO_TABLES: break;
	case UMBRA_READ_BACK_UNMAPPED:
		puts("  the guest cannot read its entry: it maps no address to the table");
		break;
	case UMBRA_READ_BACK_FAULT:
	case UMBRA_READ_BACK_DONE:
		printf("  then the guest reads its entry, at GVA 0x%" PRIx64 ": %" PRIu64
		       " references, %" PRIu64 " exits, %" PRIu64 " cycles\n",
		       back->gva, back->steps.references, back->steps.exits, back->steps.cycles);
		print_steps(mode, &back->steps, "  ");
		break;
	}
	puts("  what the guest has, and what the hardware uses");
	if (back->state == UMBRA_READ_BACK_NO_TABLES)
		puts("    B  none: the guest does not page");
	else
		print_leaf(mode, &back->leaf, "B", done ? "the guest sees it" : "the guest's");
	for (unsigned int i = 0; i < e->nr_hardware; i++) {
		const struct umbra_leaf *leaf = &e->hardware[i];
		bool same = back->state != UMBRA_READ_BACK_NO_TABLES &&
			    leaf->step.hpa == back->leaf.step.hpa;

		print_leaf(mode, leaf, "C",
			   leaf->maps == UINT64_MAX ? "the hardware ends there"
			   : same                   ? "the same, the hardware uses it"
						    : "the hardware uses it");
	}
	if (!e->nr_hardware)
		puts("    C  none: the hardware's addresses are physical");
}

void explanation_print(const struct options *options, enum umbra_mode mode,
		       const struct umbra_explanation *explanation)
{
	const struct umbra_explanation *e = explanation;

	printf("%s: %s of GVA 0x%" PRIx64 "%s\n", umbra_mode_name(mode),
	       access_name(options->access), options->gva,
	       options->first_touch ? ", first touch" : "");
	print_steps(mode, &e->steps, "");
	print_read_back(mode, e);
	printf("%" PRIu64 " cycles for walks and exits\n", e->steps.cycles);
	printf("%" PRIu64 " references, %" PRIu64 " exits, ", e->steps.references, e->steps.exits);
	if (e->end.kind == UMBRA_STEP_TRANSLATED)
		printf("HPA 0x%" PRIx64 "\n", e->end.hpa);
	else if (e->end.kind == UMBRA_STEP_DEVICE)
		printf("device at GPA 0x%" PRIx64 "\n", e->end.gpa);
	else
		puts(e->end.kind == UMBRA_STEP_NOBODY ? "nobody there" : "page fault");
}

/* --- JSON --------------------------------------------------------------------------------- */

static json_t *hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

static void set_entry(json_t *object, enum umbra_mode mode, const struct umbra_step *step)
{
	json_object_set_new(object, "table", json_string(umbra_table_name(mode, step->table)));
	json_object_set_new(object, "level", json_integer(step->level));
	json_object_set_new(object, "index", json_integer(step->index));
	json_object_set_new(object, "entry", hex(step->entry));
	if (step->table == UMBRA_TABLE_GUEST)
		json_object_set_new(object, "gpa", hex(step->gpa));
	if (step->table == UMBRA_TABLE_EPT)
		json_object_set_new(object, "translates", hex(step->translates));
	json_object_set_new(object, "hpa", hex(step->hpa));
}

static json_t *step_json(enum umbra_mode mode, const struct umbra_step *step)
{
	json_t *object = json_pack("{s:s}", "kind", kind_names[step->kind]);

	if (step->kind == UMBRA_STEP_REFERENCE || step->kind == UMBRA_STEP_AD ||
	    step->kind == UMBRA_STEP_SOFTWARE)
		set_entry(object, mode, step);
	if (step->kind == UMBRA_STEP_TRANSLATED)
		json_object_set_new(object, "hpa", hex(step->hpa));
	if (step->kind == UMBRA_STEP_DEVICE)
		json_object_set_new(object, "gpa", hex(step->gpa));
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

static void set_steps(json_t *object, enum umbra_mode mode, const struct umbra_steps *steps)
{
	json_t *list = json_array();

	for (size_t i = 0; i < steps->nr; i++)
		json_array_append_new(list, step_json(mode, &steps->step[i]));
	json_object_set_new(object, "steps", list);
	json_object_set_new(object, "references", json_integer((json_int_t)steps->references));
	json_object_set_new(object, "exits", json_integer((json_int_t)steps->exits));
	json_object_set_new(object, "cycles", json_integer((json_int_t)steps->cycles));
}

static json_t *leaf_json(enum umbra_mode mode, const struct umbra_leaf *leaf)
{
	json_t *object = json_object(), *flags = json_array();
	unsigned int position = 0;
	const char *name;

	set_entry(object, mode, &leaf->step);
	if (leaf->maps != UINT64_MAX)
		json_object_set_new(object, "maps", hex(leaf->maps));
	while ((name = umbra_entry_flag(&leaf->step, &position)))
		json_array_append_new(flags, json_string(name));
	json_object_set_new(object, "flags", flags);
	return object;
}

static json_t *read_back_json(enum umbra_mode mode, const struct umbra_read_back *back)
{
	json_t *object = json_pack("{s:s}", "state", read_back_names[back->state]);

	if (back->state == UMBRA_READ_BACK_DONE || back->state == UMBRA_READ_BACK_FAULT) {
		json_object_set_new(object, "gva", hex(back->gva));
		set_steps(object, mode, &back->steps);
	}
	if (back->state == UMBRA_READ_BACK_DONE)
		json_object_set_new(object, "entry", hex(back->seen));
	return object;
}

json_t *explanation_json(const struct options *options, enum umbra_mode mode,
			 const struct umbra_explanation *explanation)
{
	const struct umbra_explanation *e = explanation;
	json_t *hardware = json_array();
	json_t *object = json_pack("{s:s, s:o, s:s, s:b}", "mode", umbra_mode_name(mode), "gva",
				   hex(options->gva), "access", access_name(options->access),
				   "first_touch", options->first_touch);

	if (!object) {
		json_decref(hardware);
		return NULL;
	}
	set_steps(object, mode, &e->steps);
	if (e->end.kind == UMBRA_STEP_TRANSLATED)
		json_object_set_new(object, "hpa", hex(e->end.hpa));
	json_object_set_new(object, "read_back", read_back_json(mode, &e->read_back));
	if (e->read_back.state != UMBRA_READ_BACK_NO_TABLES)
		json_object_set_new(object, "guest_entry", leaf_json(mode, &e->read_back.leaf));
	for (unsigned int i = 0; i < e->nr_hardware; i++)
		json_array_append_new(hardware, leaf_json(mode, &e->hardware[i]));
	json_object_set_new(object, "hardware_entries", hardware);
	return object;
}
