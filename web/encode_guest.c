/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest, its switches and decisions as JSON. Names and shapes are those of schemas/types.c and
 * schemas/metrics.def; the tests validate what is made here against the schemas made from them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "schemas/metrics.h"
#include "schemas/types.h"
#include "web/view.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static void write_number(struct text *out, const char *key, double value)
{
	json_write_key(out, key);
	json_write_double(out, value);
}

static void write_flag(struct text *out, const char *key, bool value)
{
	json_write_key(out, key);
	json_write_bool(out, value);
}

static void write_hex(struct text *out, const char *key, uint64_t value)
{
	json_write_key(out, key);
	json_write_hex(out, value);
}

static void write_end(struct text *out, const struct umbra_end *end)
{
	char bytes[3 * sizeof(end->bytes) + 1] = "";

	json_write_open(out, '{');
	json_write_word(out, "reason", umbra_end_reason_name(end->reason));
	if (end->reason == UMBRA_END_DEBUG_EXIT)
		json_write_count(out, "value", end->value);
	if (end->cpu_mode) {
		write_hex(out, "rip", end->rip);
		json_write_word(out, "cpu_mode", end->cpu_mode);
		json_write_count(out, "cpu", end->cpu);
	}
	for (unsigned int i = 0; i < end->nr_bytes && i < sizeof(end->bytes); i++)
		snprintf(bytes + 3 * i, sizeof(bytes) - 3 * i,
			 i + 1 < end->nr_bytes ? "%02x " : "%02x", end->bytes[i]);
	if (bytes[0])
		json_write_word(out, "bytes", bytes);
	if (end->text[0])
		json_write_word(out, "text", end->text);
	json_write_close(out, '}');
}

static void write_registers(struct text *out, const struct umbra_registers *registers)
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
	char digits[40];

	json_write_open(out, '{');
	for (size_t i = 0; i < ARRAY_SIZE(registers->gpr); i++)
		write_hex(out, register_name(i), registers->gpr[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		write_hex(out, others[i].name, others[i].value);
	for (size_t i = 0; i < ARRAY_SIZE(registers->selector); i++)
		write_hex(out, selector_name(i), registers->selector[i]);
	json_write_key(out, "xmm");
	json_write_open(out, '[');
	for (size_t i = 0; i < ARRAY_SIZE(registers->xmm); i++) {
		snprintf(digits, sizeof(digits), "%016" PRIx64 "%016" PRIx64, registers->xmm[i][1],
			 registers->xmm[i][0]);
		json_write_text(out, digits);
	}
	json_write_close(out, ']');
	json_write_key(out, "st");
	json_write_open(out, '[');
	for (size_t i = 0; i < ARRAY_SIZE(registers->st); i++) {
		snprintf(digits, sizeof(digits), "%04x%016" PRIx64, registers->st[i].exponent,
			 registers->st[i].significand);
		json_write_text(out, digits);
	}
	json_write_close(out, ']');
	json_write_close(out, '}');
}

void web_write_switch(struct text *out, const struct switch_record *record)
{
	const struct umbra_switch *made = &record->record;

	json_write_open(out, '{');
	json_write_count(out, "instruction", made->instruction);
	json_write_count(out, "time", made->time);
	json_write_word(out, "from", umbra_mode_name(made->from));
	json_write_word(out, "to", umbra_mode_name(made->to));
	json_write_count(out, "pause_ns", made->pause_ns);
	json_write_count(out, "teardown_ns", made->teardown_ns);
	json_write_count(out, "zapped", made->zapped);
	json_write_count(out, "built", made->built);
	json_write_count(out, "refill_fills", made->refill_fills);
	json_write_count(out, "refill_cycles", made->refill_cycles);
	json_write_word(out, "reason", record->reason);
	json_write_close(out, '}');
}

static void write_mode_costs(struct text *out, const struct policy_cost costs[UMBRA_MODE_COUNT])
{
	json_write_open(out, '{');
	for (int mode = 0; mode < UMBRA_MODE_COUNT; mode++) {
		if (!costs[mode].known)
			continue;
		json_write_key(out, umbra_mode_name(mode));
		json_write_open(out, '{');
		write_number(out, "cycles", costs[mode].cycles);
		write_number(out, "uncertainty", costs[mode].uncertainty);
		json_write_close(out, '}');
	}
	json_write_close(out, '}');
}

static void write_inputs(struct text *out, const struct policy_input inputs[POLICY_INPUT_COUNT])
{
	json_write_open(out, '{');
	for (int id = 0; id < POLICY_INPUT_COUNT; id++) {
		if (!inputs[id].known)
			continue;
		json_write_key(out, policy_input_name(id));
		json_write_open(out, '{');
		json_write_count(out, "value", inputs[id].value);
		write_flag(out, "model_only", inputs[id].model_only);
		write_number(out, "uncertainty", inputs[id].uncertainty);
		json_write_close(out, '}');
	}
	json_write_close(out, '}');
}

static void write_after(struct text *out, const struct policy_after *after)
{
	if (!after->known) {
		json_write_raw(out, "null");
		return;
	}
	json_write_open(out, '{');
	json_write_count(out, "intervals", after->intervals);
	write_number(out, "cycles_per_instruction_before", after->cycles_per_instruction_before);
	write_number(out, "cycles_per_instruction", after->cycles_per_instruction);
	write_number(out, "refill_cycles", after->refill_cycles);
	write_flag(out, "paid", after->paid);
	json_write_close(out, '}');
}

void web_write_decision(struct text *out, const struct policy_decision *decision)
{
	json_write_open(out, '{');
	json_write_count(out, "id", decision->id);
	json_write_count(out, "time", decision->time);
	json_write_count(out, "instruction", decision->instruction);
	json_write_word(out, "mode", umbra_mode_name(decision->mode));
	json_write_key(out, "cost");
	write_mode_costs(out, decision->cost);
	json_write_word(out, "rival", umbra_mode_name(decision->rival));
	write_number(out, "switch_cost", decision->switch_cost);
	write_number(out, "threshold", decision->threshold);
	write_number(out, "advantage", decision->advantage);
	json_write_word(out, "action", policy_action_name(decision->action));
	json_write_word(out, "target", umbra_mode_name(decision->target));
	json_write_word(out, "reason", decision->reason);
	json_write_key(out, "inputs");
	write_inputs(out, decision->inputs);
	json_write_key(out, "after");
	write_after(out, &decision->after);
	json_write_close(out, '}');
}

static void write_origin(struct text *out, const struct umbra_cost_table *costs, size_t row)
{
	const struct umbra_cost_figure *figure = &costs->figure[row];
	char place[4200];

	if (!figure->source)
		snprintf(place, sizeof(place), "%s, line %u", costs->file, figure->line);
	json_write_word(out, "origin", figure->source ? figure->source : place);
}

void web_write_costs(struct text *out, const struct umbra_cost_table *costs)
{
	const uint32_t *cycles = (const uint32_t *)&costs->cost;
	unsigned int borrowed = umbra_cost_table_borrowed(costs);

	json_write_open(out, '{');
	json_write_word(out, "processor", costs->processor);
	write_flag(out, "calibrated", !borrowed);
	json_write_count(out, "borrowed", borrowed);
	json_write_key(out, "figures");
	json_write_open(out, '{');
	for (size_t row = 0; row < UMBRA_COST_COUNT; row++) {
		if (costs->figure[row].origin == UMBRA_COST_OF_DEFAULT)
			continue;
		json_write_key(out, umbra_cost_rows[row].name);
		json_write_open(out, '{');
		json_write_count(out, "cycles", cycles[row]);
		json_write_count(out, "default", umbra_cost_rows[row].cycles);
		write_origin(out, costs, row);
		json_write_close(out, '}');
	}
	json_write_close(out, '}');
	json_write_close(out, '}');
}

/* What has no metrics says why. */
static const char *collector_state(const struct guest_view *view)
{
	if (view->measured[METRIC_CORE].values)
		return "ok";
	if (view->unmeasured)
		return view->unmeasured;
	return view->end ? "degraded: the guest ended before its worker reported"
			 : "degraded: its worker has not reported yet";
}

static void write_collector(struct text *out, const char *name, const char *state)
{
	json_write_open(out, '{');
	json_write_word(out, "name", name);
	json_write_word(out, "state", state);
	json_write_close(out, '}');
}

/* The core's is called as the engine: it measures what it executes itself. */
static void write_collectors(struct text *out, const struct guest_view *view)
{
	json_write_key(out, "collectors");
	json_write_open(out, '[');
	if (!view->observed)
		write_collector(out, view->engine, collector_state(view));
	for (int source = METRIC_CORE + 1; source < METRIC_SOURCE_COUNT; source++) {
		const char *name = metric_source_name(source);
		const char *state = view->measured[source].state;

		if (state && (view->observed || strcmp(name, view->engine)))
			write_collector(out, name, state);
	}
	json_write_close(out, ']');
}

static void write_last_switch(struct text *out, const struct change_view *change)
{
	json_write_key(out, "last_switch");
	json_write_open(out, '{');
	json_write_word(out, "from", umbra_mode_name(change->made.record.from));
	json_write_word(out, "to", umbra_mode_name(change->made.record.to));
	json_write_word(out, "reason", change->made.reason);
	if (change->decision)
		json_write_count(out, "decision", change->decision);
	if (change->expected_known)
		write_number(out, "expected_percent", change->expected_percent);
	if (change->outcome_known)
		write_flag(out, "paid", change->paid);
	json_write_close(out, '}');
}

static void write_switches(struct text *out, const struct guest_view *view)
{
	json_write_key(out, "switches");
	if (view->switches_json) {
		json_write_raw(out, view->switches_json);
		return;
	}
	json_write_open(out, '[');
	for (size_t i = 0; i < view->nr_switches; i++)
		web_write_switch(out, &view->switches[i]);
	json_write_close(out, ']');
}

static void write_decisions(struct text *out, const struct guest_view *view)
{
	json_write_key(out, "decisions");
	if (view->decisions_json) {
		json_write_raw(out, view->decisions_json);
		return;
	}
	json_write_open(out, '[');
	for (size_t i = 0; i < view->nr_decisions; i++)
		web_write_decision(out, &view->decisions[i]);
	json_write_close(out, ']');
}

static void write_lists(struct text *out, const struct guest_view *view)
{
	if (view->id)
		write_collectors(out, view);
	write_switches(out, view);
	write_decisions(out, view);
	if (!view->registers)
		return;
	json_write_key(out, "registers");
	json_write_open(out, '[');
	for (unsigned int i = 0; i < view->cpus; i++)
		write_registers(out, &view->registers[i]);
	json_write_close(out, ']');
}

/* Of a guest of umbrad, not of a run. */
static void write_registered(struct text *out, const struct guest_view *view)
{
	char started[TEXT_TIME_SIZE];

	json_write_word(out, "id", view->id);
	json_write_word(out, "state", view->state);
	write_flag(out, "observed", view->observed);
	if (view->pid > 0)
		json_write_count(out, "pid", view->pid);
	if (view->started)
		json_write_word(out, "started", text_time(started, view->started, -1));
	if (!view->observed)
		json_write_count(out, "starts", view->starts);
	if (!view->observed && view->restart_in >= 0)
		json_write_count(out, "restart_in_seconds", view->restart_in);
}

void web_write_guest(struct text *out, const struct guest_view *view, bool lists)
{
	json_write_open(out, '{');
	if (view->id)
		write_registered(out, view);
	json_write_word(out, "guest", view->guest);
	json_write_word(out, "engine", view->engine);
	if (view->mode < UMBRA_MODE_COUNT)
		json_write_word(out, "mode", umbra_mode_name(view->mode));
	if (view->mode_reason)
		json_write_word(out, "mode_reason", view->mode_reason);
	json_write_word(out, "policy", policy_kind_name(view->policy));
	if (view->policy_source)
		json_write_word(out, "policy_source", view->policy_source);
	if (view->clock < UMBRA_CLOCK_COUNT)
		json_write_word(out, "clock", umbra_clock_name(view->clock));
	if (view->processor)
		json_write_word(out, "processor", view->processor);
	if (view->costs) {
		json_write_key(out, "costs");
		web_write_costs(out, view->costs);
	}
	json_write_count(out, "cpus", view->cpus);
	web_write_measured(out, view);
	if (view->vm)
		web_write_vm(out, view, lists);
	if (lists)
		web_write_kvm_other(out, view);
	if (view->last_switch)
		write_last_switch(out, view->last_switch);
	if (view->end) {
		json_write_key(out, "end");
		write_end(out, view->end);
	}
	if (lists)
		write_lists(out, view);
	if (view->memory_hash)
		json_write_word(out, "memory_hash", view->memory_hash);
	json_write_close(out, '}');
}

/* What was written, as a value; @out is empty then. NULL: out of memory. */
static json_t *parse(struct text *out)
{
	json_t *value = out->failed ? NULL : json_loadb(out->data, out->len, 0, NULL);

	text_free(out);
	return value;
}

json_t *web_encode_guest(const struct guest_view *view, bool lists)
{
	struct text out = {0};

	web_write_guest(&out, view, lists);
	return parse(&out);
}

json_t *web_encode_costs(const struct umbra_cost_table *costs)
{
	struct text out = {0};

	web_write_costs(&out, costs);
	return parse(&out);
}

json_t *web_encode_decision(const struct policy_decision *decision)
{
	struct text out = {0};

	web_write_decision(&out, decision);
	return parse(&out);
}

json_t *web_encode_switch(const struct switch_record *record)
{
	struct text out = {0};

	web_write_switch(&out, record);
	return parse(&out);
}
