/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where an address leads, as JSON; names and shapes are those of schemas/types.c. */
#include <inttypes.h>

#include "schemas/types.h"
#include "web/encode_translate.h"

static json_t *hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

static json_t *count(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* A value that is NULL stands for "out of memory", which then sticks to *@failed. */
static void set(json_t *object, const char *key, json_t *value, bool *failed)
{
	*failed |= json_object_set_new(object, key, value) != 0;
}

static json_t *entry_flags(const struct umbra_step *step)
{
	json_t *list = json_array();
	unsigned int position = 0;
	const char *name;

	while ((name = umbra_entry_flag(step, &position)))
		json_array_append_new(list, json_string(name));
	return list;
}

static json_t *error_flags(uint32_t code)
{
	json_t *list = json_array();
	unsigned int position = 0;
	const char *name;

	while ((name = umbra_error_code_flag(code, &position)))
		json_array_append_new(list, json_string(name));
	return list;
}

static void set_error(json_t *object, uint32_t code, bool *failed)
{
	set(object, "error_code", count(code), failed);
	set(object, "error_flags", error_flags(code), failed);
}

static json_t *encode_steps(enum umbra_mode mode, const struct umbra_step *steps, unsigned int nr,
			    bool *failed)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < nr; i++) {
		const struct umbra_step *step = &steps[i];
		json_t *object = json_object();

		set(object, "table", json_string(umbra_table_name(mode, step->table)), failed);
		set(object, "level", count(step->level), failed);
		set(object, "name", json_string(umbra_level_name(step->level)), failed);
		set(object, "index", count(step->index), failed);
		if (step->table == UMBRA_TABLE_GUEST)
			set(object, "gpa", hex(step->gpa), failed);
		if (step->hpa != UINT64_MAX)
			set(object, "hpa", hex(step->hpa), failed);
		if (step->table == UMBRA_TABLE_EPT)
			set(object, "translates", hex(step->translates), failed);
		set(object, "entry", hex(step->entry), failed);
		set(object, "flags", entry_flags(step), failed);
		*failed |= json_array_append_new(list, object) != 0;
	}
	return list;
}

static json_t *encode_guest_walk(const struct umbra_translation *t, bool *failed)
{
	json_t *object = json_object();

	set(object, "paging", json_string(umbra_paging_name(t->paging)), failed);
	set(object, "cr3", hex(t->cr3), failed);
	if (t->paging == UMBRA_PAGING_PAE)
		set(object, "pdpte", hex(t->pdpte), failed);
	set(object, "entries", encode_steps(UMBRA_MODE_BARE, t->entry, t->nr_entries, failed),
	    failed);
	set(object, "outcome", json_string(umbra_outcome_name(t->outcome)), failed);
	if (t->outcome == UMBRA_OUTCOME_FAULT) {
		set_error(object, t->error_code, failed);
		return object;
	}
	set(object, "gpa", hex(t->gpa), failed);
	if (t->paging == UMBRA_PAGING_OFF)
		return object;
	set(object, "page_bytes", count(t->page_bytes), failed);
	set(object, "write", json_boolean(t->write), failed);
	set(object, "user", json_boolean(t->user), failed);
	set(object, "execute", json_boolean(t->execute), failed);
	set(object, "key", count(t->key), failed);
	return object;
}

static json_t *encode_mode_walk(const struct umbra_mode_walk *walk, bool *failed)
{
	bool exits = walk->end >= UMBRA_WALK_EXIT_FILL;
	bool faults = exits ? walk->reason == UMBRA_EXIT_page_fault : walk->end == UMBRA_WALK_FAULT;
	json_t *object = json_object();

	set(object, "mode", json_string(umbra_mode_name(walk->mode)), failed);
	set(object, "on", json_boolean(walk->on), failed);
	set(object, "end", json_string(umbra_walk_end_name(walk->end)), failed);
	set(object, "steps", encode_steps(walk->mode, walk->step, walk->nr_steps, failed), failed);
	if (exits)
		set(object, "exit_reason", json_string(umbra_exit_reason_name(walk->reason)),
		    failed);
	if (exits && !faults)
		set(object, "exit_gpa", hex(walk->exit_gpa), failed);
	if (faults)
		set_error(object, walk->error_code, failed);
	if (walk->walk_unknown) {
		set(object, "walk_unknown", json_string(umbra_unknown_name(walk->walk_unknown)),
		    failed);
	} else {
		set(object, "references", count(walk->references), failed);
		set(object, "page_bytes", count(walk->page_bytes), failed);
	}
	if (walk->hpa_unknown)
		set(object, "hpa_unknown", json_string(umbra_unknown_name(walk->hpa_unknown)),
		    failed);
	else
		set(object, "hpa", hex(walk->hpa), failed);
	return object;
}

json_t *web_encode_translation(const char *id, const struct umbra_translation *translation,
			       enum umbra_mode only)
{
	const struct umbra_translation *t = translation;
	json_t *object = json_object(), *walks = json_array();
	bool failed = false;

	set(object, "id", json_string(id), &failed);
	set(object, "gva", hex(t->gva), &failed);
	set(object, "access", json_string(access_name(t->access)), &failed);
	set(object, "cpu", count(t->cpu), &failed);
	set(object, "privilege", json_string(umbra_privilege_name(t->privilege)), &failed);
	set(object, "instructions", count(t->instructions), &failed);
	set(object, "time", count(t->time), &failed);
	set(object, "guest", encode_guest_walk(t, &failed), &failed);
	for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++)
		if (only == UMBRA_MODE_COUNT || only == mode)
			failed |= json_array_append_new(
					  walks, encode_mode_walk(&t->walk[mode], &failed)) != 0;
	set(object, "walks", walks, &failed);
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}
