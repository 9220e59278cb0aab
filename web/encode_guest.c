/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest, its switches and decisions as JSON. Names and shapes are those of schemas/types.c and
 * schemas/metrics.def; the tests validate what is made here against the schemas made from them.
 */
#include <inttypes.h>
#include <stdio.h>

#include "schemas/metrics.h"
#include "schemas/types.h"
#include "web/view.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static json_t *hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

/* Sets @key unless @value is NULL, which stands for "out of memory" and then sticks to *@failed. */
static void set(json_t *object, const char *key, json_t *value, bool *failed)
{
	if (json_object_set_new(object, key, value))
		*failed = true;
}

/* Text from outside may be anything; JSON is UTF-8. What is not becomes a question mark. */
static json_t *text(const char *value)
{
	char copy[512];
	json_t *string;
	size_t i;

	string = json_string(value);
	if (string)
		return string;
	for (i = 0; value[i] && i < sizeof(copy) - 1; i++)
		copy[i] = (unsigned char)value[i] < 0x80 ? value[i] : '?';
	copy[i] = '\0';
	return json_string(copy);
}

static json_t *or_null(json_t *object, bool failed)
{
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *encode_end(const struct umbra_end *end)
{
	char bytes[3 * sizeof(end->bytes) + 1] = "";
	json_t *object = json_object();
	bool failed = false;

	set(object, "reason", json_string(umbra_end_reason_name(end->reason)), &failed);
	if (end->reason == UMBRA_END_DEBUG_EXIT)
		set(object, "value", json_integer(end->value), &failed);
	if (end->cpu_mode) {
		set(object, "rip", hex(end->rip), &failed);
		set(object, "cpu_mode", json_string(end->cpu_mode), &failed);
		set(object, "cpu", json_integer(end->cpu), &failed);
	}
	for (unsigned int i = 0; i < end->nr_bytes && i < sizeof(end->bytes); i++)
		snprintf(bytes + 3 * i, sizeof(bytes) - 3 * i,
			 i + 1 < end->nr_bytes ? "%02x " : "%02x", end->bytes[i]);
	if (bytes[0])
		set(object, "bytes", json_string(bytes), &failed);
	if (end->text[0])
		set(object, "text", text(end->text), &failed);
	return or_null(object, failed);
}

static json_t *encode_registers(const struct umbra_registers *registers)
{
	const struct {
		const char *name;
		uint64_t value;
	} others[] = {
		{"rip", registers->rip},         {"rflags", registers->rflags},
		{"cr0", registers->cr0},         {"cr2", registers->cr2},
		{"cr3", registers->cr3},         {"cr4", registers->cr4},
		{"efer", registers->efer},       {"fs_base", registers->fs_base},
		{"gs_base", registers->gs_base}, {"mxcsr", registers->mxcsr},
		{"fcw", registers->fcw},         {"fsw", registers->fsw},
		{"ftw", registers->ftw},         {"fop", registers->fop},
		{"fip", registers->fip},         {"fcs", registers->fcs},
		{"fdp", registers->fdp},         {"fds", registers->fds},
	};
	json_t *object = json_object();
	json_t *xmm = json_array();
	json_t *st = json_array();
	bool failed = false;

	for (size_t i = 0; i < ARRAY_SIZE(registers->gpr); i++)
		set(object, register_name(i), hex(registers->gpr[i]), &failed);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		set(object, others[i].name, hex(others[i].value), &failed);
	for (size_t i = 0; i < ARRAY_SIZE(registers->selector); i++)
		set(object, selector_name(i), hex(registers->selector[i]), &failed);
	for (size_t i = 0; i < ARRAY_SIZE(registers->xmm); i++)
		failed |= json_array_append_new(xmm, json_sprintf("%016" PRIx64 "%016" PRIx64,
								  registers->xmm[i][1],
								  registers->xmm[i][0])) != 0;
	set(object, "xmm", xmm, &failed);
	for (size_t i = 0; i < ARRAY_SIZE(registers->st); i++)
		failed |= json_array_append_new(
				  st, json_sprintf("%04x%016" PRIx64, registers->st[i].exponent,
						   registers->st[i].significand)) != 0;
	set(object, "st", st, &failed);
	return or_null(object, failed);
}

json_t *web_encode_switch(const struct switch_record *record)
{
	const struct umbra_switch *made = &record->record;

	return json_pack("{s:I,s:I,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "instruction",
			 (json_int_t)made->instruction, "time", (json_int_t)made->time, "from",
			 umbra_mode_name(made->from), "to", umbra_mode_name(made->to), "pause_ns",
			 (json_int_t)made->pause_ns, "teardown_ns", (json_int_t)made->teardown_ns,
			 "zapped", (json_int_t)made->zapped, "built", (json_int_t)made->built,
			 "refill_fills", (json_int_t)made->refill_fills, "refill_cycles",
			 (json_int_t)made->refill_cycles, "reason", record->reason);
}

static json_t *encode_costs(const struct policy_cost costs[UMBRA_MODE_COUNT])
{
	json_t *object = json_object();
	bool failed = false;

	for (int mode = 0; mode < UMBRA_MODE_COUNT; mode++) {
		if (costs[mode].known)
			set(object, umbra_mode_name(mode),
			    json_pack("{s:f,s:f}", "cycles", costs[mode].cycles, "uncertainty",
				      costs[mode].uncertainty),
			    &failed);
	}
	return or_null(object, failed);
}

static json_t *encode_inputs(const struct policy_input inputs[POLICY_INPUT_COUNT])
{
	json_t *object = json_object();
	bool failed = false;

	for (int id = 0; id < POLICY_INPUT_COUNT; id++) {
		if (inputs[id].known)
			set(object, policy_input_name(id),
			    json_pack("{s:I,s:b,s:f}", "value", (json_int_t)inputs[id].value,
				      "model_only", inputs[id].model_only, "uncertainty",
				      inputs[id].uncertainty),
			    &failed);
	}
	return or_null(object, failed);
}

static json_t *encode_after(const struct policy_after *after)
{
	if (!after->known)
		return json_null();
	return json_pack("{s:I,s:f,s:f,s:f,s:b}", "intervals", (json_int_t)after->intervals,
			 "cycles_per_instruction_before", after->cycles_per_instruction_before,
			 "cycles_per_instruction", after->cycles_per_instruction, "refill_cycles",
			 after->refill_cycles, "paid", after->paid);
}

json_t *web_encode_decision(const struct policy_decision *decision)
{
	return json_pack(
		"{s:I,s:I,s:I,s:s,s:o,s:s,s:f,s:f,s:f,s:s,s:s,s:s,s:o,s:o}", "id",
		(json_int_t)decision->id, "time", (json_int_t)decision->time, "instruction",
		(json_int_t)decision->instruction, "mode", umbra_mode_name(decision->mode), "cost",
		encode_costs(decision->cost), "rival", umbra_mode_name(decision->rival),
		"switch_cost", decision->switch_cost, "threshold", decision->threshold, "advantage",
		decision->advantage, "action", policy_action_name(decision->action), "target",
		umbra_mode_name(decision->target), "reason", decision->reason, "inputs",
		encode_inputs(decision->inputs), "after", encode_after(&decision->after));
}

static json_t *encode_origin(const struct umbra_cost_table *costs, size_t row)
{
	const struct umbra_cost_figure *figure = &costs->figure[row];

	char place[4200];

	if (figure->source)
		return json_string(figure->source);
	snprintf(place, sizeof(place), "%s, line %u", costs->file, figure->line);
	return text(place);
}

static json_t *encode_figures(const struct umbra_cost_table *costs)
{
	const uint32_t *cycles = (const uint32_t *)&costs->cost;
	json_t *object = json_object();
	bool failed = false;

	for (size_t row = 0; row < UMBRA_COST_COUNT; row++) {
		if (costs->figure[row].origin != UMBRA_COST_OF_DEFAULT)
			set(object, umbra_cost_rows[row].name,
			    json_pack("{s:I,s:I,s:o}", "cycles", (json_int_t)cycles[row], "default",
				      (json_int_t)umbra_cost_rows[row].cycles, "origin",
				      encode_origin(costs, row)),
			    &failed);
	}
	return or_null(object, failed);
}

json_t *web_encode_costs(const struct umbra_cost_table *costs)
{
	unsigned borrowed = umbra_cost_table_borrowed(costs);

	return json_pack("{s:s,s:b,s:I,s:o}", "processor", costs->processor, "calibrated",
			 !borrowed, "borrowed", (json_int_t)borrowed, "figures",
			 encode_figures(costs));
}

static json_t *encode_metric(const struct metric *metric, const struct umbra_counters *counters)
{
	json_t *object;
	bool failed = false;

	if (!metric->dimension)
		return json_integer((json_int_t)metric_read(metric, counters, 0));
	object = json_object();
	for (size_t i = 0; i < metric->dimension->nr_values; i++)
		set(object, metric->dimension->values[i].name,
		    json_integer((json_int_t)metric_read(metric, counters, i)), &failed);
	return or_null(object, failed);
}

static void set_metrics(json_t *guest, const struct umbra_counters *counters, bool *failed)
{
	for (size_t i = 0; i < nr_metrics; i++) {
		const char *object, *key;
		json_t *place = guest;

		if (*failed)
			return;
		metric_json_place(&metrics[i], &object, &key);
		if (*object && !(place = json_object_get(guest, object))) {
			place = json_object();
			set(guest, object, place, failed);
		}
		set(place, key, encode_metric(&metrics[i], counters), failed);
	}
}

static void set_lists(json_t *guest, const struct guest_view *view, bool *failed)
{
	json_t *switches = json_array();
	json_t *decisions = json_array();
	json_t *registers;

	for (size_t i = 0; i < view->nr_switches; i++)
		*failed |=
			json_array_append_new(switches, web_encode_switch(&view->switches[i])) != 0;
	for (size_t i = 0; i < view->nr_decisions; i++)
		*failed |= json_array_append_new(decisions,
						 web_encode_decision(&view->decisions[i])) != 0;
	set(guest, "switches", switches, failed);
	set(guest, "decisions", decisions, failed);
	if (!view->registers)
		return;
	registers = json_array();
	for (unsigned int i = 0; i < view->cpus; i++)
		*failed |= json_array_append_new(registers,
						 encode_registers(&view->registers[i])) != 0;
	set(guest, "registers", registers, failed);
}

json_t *web_encode_guest(const struct guest_view *view, bool lists)
{
	json_t *guest = json_object();
	bool failed = false;

	if (view->id) {
		set(guest, "id", json_string(view->id), &failed);
		set(guest, "state", json_string(view->state), &failed);
		if (view->pid > 0)
			set(guest, "pid", json_integer(view->pid), &failed);
	}
	set(guest, "guest", text(view->guest), &failed);
	set(guest, "engine", json_string(view->engine), &failed);
	set(guest, "mode", json_string(umbra_mode_name(view->mode)), &failed);
	set(guest, "policy", json_string(policy_kind_name(view->policy)), &failed);
	set(guest, "clock", json_string(umbra_clock_name(view->clock)), &failed);
	set(guest, "processor", json_string(view->processor), &failed);
	if (view->costs)
		set(guest, "costs", web_encode_costs(view->costs), &failed);
	set(guest, "cpus", json_integer(view->cpus), &failed);
	if (view->counters)
		set_metrics(guest, view->counters, &failed);
	if (view->end)
		set(guest, "end", encode_end(view->end), &failed);
	if (lists)
		set_lists(guest, view, &failed);
	if (view->memory_hash)
		set(guest, "memory_hash", json_string(view->memory_hash), &failed);
	return or_null(guest, failed);
}
