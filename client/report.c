/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "client/report.h"
#include "umbra/kvm_engine.h"

#define SWITCHES_SHOWN 10

#define ROW(name, counter, compared)                                                               \
	{                                                                                          \
		name, offsetof(struct umbra_counters, counter), REPORT_##compared                  \
	}

const struct report_row report_rows[] = {
	ROW("table reads emulated", shadow_table_reads, COMPARED),
	ROW("table writes emulated", shadow_table_writes, COMPARED),
	ROW("tables located", shadow_tables_located, IF_ANY),
	ROW("shadow fills", shadow_fills, COMPARED),
	ROW("shadow entries removed", shadow_zaps, NOT_COMPARED),
	ROW("shadow tables out of sync", shadow_unsyncs, NOT_COMPARED),
	ROW("shadow tables repaired", shadow_syncs, IF_ANY),
	ROW("shadow tables flooded", shadow_floods, NOT_COMPARED),
	ROW("shadow tables given up", shadow_reclaims, IF_ANY),
	ROW("page faults reflected", shadow_reflected, NOT_COMPARED),
	ROW("flushes of other vCPUs", shadow_remote_flushes, IF_ANY),
	ROW("EPT fills", ept_fills, COMPARED),
};
const size_t report_nr_rows = sizeof(report_rows) / sizeof(report_rows[0]);

const char *report_grouped(uint64_t number, char buffer[GROUPED_SIZE])
{
	char digits[GROUPED_SIZE];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, number);
	char *out = buffer;

	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return buffer;
}

uint64_t report_total_exits(const struct umbra_counters *counters)
{
	uint64_t total = 0;

	for (int i = 0; i < UMBRA_EXIT_REASON_COUNT; i++)
		total += counters->exits[i];
	return total;
}

unsigned int report_exits_by_count(const struct umbra_counters *counters,
				   enum umbra_exit_reason ret_reasons[UMBRA_EXIT_REASON_COUNT])
{
	unsigned int nr = 0;

	for (int i = 0; i < UMBRA_EXIT_REASON_COUNT; i++) {
		unsigned int at = nr;

		if (!counters->exits[i])
			continue;
		while (at && counters->exits[ret_reasons[at - 1]] < counters->exits[i]) {
			ret_reasons[at] = ret_reasons[at - 1];
			at--;
		}
		ret_reasons[at] = i;
		nr++;
	}
	return nr;
}

double report_percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * part / whole : 0;
}

void report_end(const struct umbra_guest *guest, char *buffer, size_t size)
{
	const struct umbra_end *end = umbra_guest_end(guest);
	size_t used;

	if (!end) {
		snprintf(buffer, size, "still running");
		return;
	}
	used = snprintf(buffer, size, "%s", umbra_end_reason_name(end->reason));
	if (end->reason == UMBRA_END_DEBUG_EXIT && used < size)
		used += snprintf(buffer + used, size - used, " %" PRIu32, end->value);
	if (end->text[0] && used < size)
		used += snprintf(buffer + used, size - used, ": %s", end->text);
	if (umbra_guest_cpus(guest) > 1 && used < size)
		snprintf(buffer + used, size - used, ", vCPU %u", end->cpu);
}

void report_costs(FILE *file, const struct umbra_cost_table *costs)
{
	unsigned int borrowed = umbra_cost_table_borrowed(costs);
	unsigned int given = umbra_cost_table_given(costs);

	if (!borrowed && !given)
		return;
	fprintf(file, "costs of %s:", costs->processor);
	if (borrowed)
		fprintf(file, " uncalibrated, %u of %zu figures are %s's", borrowed,
			UMBRA_COST_COUNT, umbra_cost_processor);
	if (given)
		fprintf(file, "%s %u from %s", borrowed ? ";" : "", given, costs->file);
	fputc('\n', file);
}

/* --- umbra run ---------------------------------------------------------------------------- */

static void line(FILE *file, const char *name, uint64_t number, const char *format, double extra)
{
	char grouped[GROUPED_SIZE];

	fprintf(file, "  %-26s %20s", name, report_grouped(number, grouped));
	if (format) {
		fputs("  ", file);
		fprintf(file, format, extra);
	}
	fputc('\n', file);
}

static void report_switches(FILE *file, struct session *session)
{
	const struct switch_record *switches;
	size_t nr = pilot_switches(session_pilot(session), &switches);
	uint64_t total = pilot_nr_switches(session_pilot(session));
	size_t first = nr > SWITCHES_SHOWN ? nr - SWITCHES_SHOWN : 0;

	line(file, "switches", total, NULL, 0);
	if (total > nr - first)
		fprintf(file, "    the last %zu:\n", nr - first);
	for (size_t i = first; i < nr; i++) {
		const struct umbra_switch *s = &switches[i].record;
		char at[GROUPED_SIZE], refill[GROUPED_SIZE], cycles[GROUPED_SIZE];

		fprintf(file,
			"    at %s: %s to %s (%s), %.1f us pause, tables: %" PRIu64
			" dropped, %" PRIu64 " built; refill: %s entries, %s cycles\n",
			report_grouped(s->instruction, at), umbra_mode_name(s->from),
			umbra_mode_name(s->to), switches[i].reason, s->pause_ns / 1e3, s->zapped,
			s->built, report_grouped(s->refill_fills, refill),
			report_grouped(s->refill_cycles, cycles));
	}
}

/* What the VMM did to keep its tables, where it did any of it. */
static void report_tables(FILE *file, const struct umbra_counters *counters)
{
	for (size_t i = 0; i < report_nr_rows; i++) {
		uint64_t count = report_count(counters, &report_rows[i]);

		if (count)
			line(file, report_rows[i].name, count, NULL, 0);
	}
}

static void report_registers(FILE *file, const struct umbra_registers *r)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};

	for (int i = 0; i < 16; i++)
		fprintf(file, "%s%-3s %016" PRIx64 "%s", i % 4 ? "  " : "    ", names[i], r->gpr[i],
			i % 4 == 3 ? "\n" : "");
	fprintf(file, "    rip %016" PRIx64 "  rflags %06" PRIx64 "  efer %04" PRIx64 "\n", r->rip,
		r->rflags, r->efer);
	fprintf(file,
		"    cr0 %016" PRIx64 "  cr2 %016" PRIx64 "  cr3 %016" PRIx64 "  cr4 %016" PRIx64
		"\n",
		r->cr0, r->cr2, r->cr3, r->cr4);
	fprintf(file,
		"    es %04x  cs %04x  ss %04x  ds %04x  fs %04x at %" PRIx64
		"  gs %04x at %" PRIx64 "\n",
		r->selector[0], r->selector[1], r->selector[2], r->selector[3], r->selector[4],
		r->fs_base, r->selector[5], r->gs_base);
}

/* Where the guest's vCPUs stand, when it did not end by its own will. */
static void report_state(FILE *file, const struct umbra_guest *guest)
{
	const struct umbra_end *end = umbra_guest_end(guest);

	if (!end || end->reason == UMBRA_END_DEBUG_EXIT || end->reason == UMBRA_END_POWER_OFF)
		return;
	for (unsigned int i = 0; i < umbra_guest_cpus(guest); i++) {
		struct umbra_registers registers;

		umbra_guest_registers(guest, i, &registers);
		fprintf(file, "  vCPU %u", i);
		if (i == end->cpu) {
			fprintf(file, " at 0x%" PRIx64 ", %s mode", end->rip, end->cpu_mode);
			for (int byte = 0; byte < end->nr_bytes; byte++)
				fprintf(file, "%s %02x", byte ? "" : ", bytes", end->bytes[byte]);
		}
		fputc('\n', file);
		report_registers(file, &registers);
	}
}

#define KVM_PREFIX (sizeof("kvm_") - 1)

/* What KVM itself counts, under its own names, where it counted anything. */
static void report_kvm(FILE *file, const struct umbra_guest *guest)
{
	const struct umbra_kvm_figures *figures = umbra_guest_kvm_figures(guest);
	static const struct {
		const char *name;
		size_t index;
	} rows[] = {
#define UMBRA_COUNTER(counter, unit, kind, dimension, exposed, help)                               \
	{&#counter[KVM_PREFIX], UMBRA_INDEX(struct umbra_kvm_counters, counter, 0)},
#include "umbra/kvm.def"
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t end = i + 1 < sizeof(rows) / sizeof(rows[0])
				     ? rows[i + 1].index
				     : sizeof(figures->counters) / sizeof(uint64_t);
		uint64_t sum = 0;
		char name[64];

		for (size_t at = rows[i].index; at < end; at++) {
			if (umbra_known_has(&figures->known, at))
				sum += ((const uint64_t *)&figures->counters)[at];
		}
		snprintf(name, sizeof(name), "  %s", rows[i].name);
		if (sum)
			line(file, name, sum, NULL, 0);
	}
}

/* What only a model knows. */
static void report_model(FILE *file, struct session *session)
{
	struct umbra_guest *guest = session_guest(session);
	const struct umbra_counters *c = umbra_guest_counters(guest);
	enum umbra_exit_reason reasons[UMBRA_EXIT_REASON_COUNT];
	unsigned int nr = report_exits_by_count(c, reasons);
	uint64_t lookups = 0, misses = 0;
	uint64_t references = c->walk_references_guest[0] + c->walk_references_nested[0];
	double seconds = session_wall_ns(session) / 1e9;

	for (int i = 0; i < UMBRA_ACCESS_COUNT; i++) {
		lookups += c->tlb_lookups[i];
		misses += c->tlb_misses[i];
	}
	line(file, "instructions", c->instructions[0], "%.1f million a second",
	     seconds > 0 ? c->instructions[0] / seconds / 1e6 : 0);
	line(file, "cycles", c->cycles[0], "%.3f an instruction",
	     c->instructions[0] ? (double)c->cycles[0] / c->instructions[0] : 0);
	line(file, "TLB look-ups", lookups, NULL, 0);
	line(file, "TLB misses", misses, "%.3f%% of the look-ups", report_percent(misses, lookups));
	line(file, "  instruction", c->tlb_misses[UMBRA_ACCESS_instruction], NULL, 0);
	line(file, "  data", c->tlb_misses[UMBRA_ACCESS_data], NULL, 0);
	line(file, "walks", c->walks[0], NULL, 0);
	line(file, "walk references", references, "%.2f a walk",
	     c->walks[0] ? (double)references / c->walks[0] : 0);
	line(file, "  nested", c->walk_references_nested[0], NULL, 0);
	line(file, "walk cycles", c->walk_cycles[0], "%.1f%%",
	     report_percent(c->walk_cycles[0], c->cycles[0]));
	line(file, "VM exits", report_total_exits(c), NULL, 0);
	for (unsigned int i = 0; i < nr; i++) {
		char name[64];

		snprintf(name, sizeof(name), "  %s", umbra_exit_reason_name(reasons[i]));
		line(file, name, c->exits[reasons[i]], NULL, 0);
	}
	line(file, "exit cycles", c->exit_cycles[0], "%.1f%%",
	     report_percent(c->exit_cycles[0], c->cycles[0]));
	report_tables(file, c);
	line(file, "refill cycles", c->refill_cycles[0], "%.1f%%",
	     report_percent(c->refill_cycles[0], c->cycles[0]));
	line(file, "memory touched", c->memory_touched[0], "bytes", 0);
	report_switches(file, session);
}

void report_run(FILE *file, struct session *session)
{
	struct umbra_guest *guest = session_guest(session);
	bool soft = umbra_guest_engine(guest) == UMBRA_ENGINE_SOFT;
	char end[512];

	report_end(guest, end, sizeof(end));
	fprintf(file, "umbra: %s; %smode %s, policy %s, %u x %s\n", end, soft ? "" : "engine kvm, ",
		umbra_mode_name(umbra_guest_mode(guest)),
		policy_kind_name(pilot_policy(session_pilot(session))), umbra_guest_cpus(guest),
		umbra_guest_processor(guest));
	if (soft)
		report_costs(file, session_costs(session));
	report_state(file, guest);
	if (soft) {
		report_model(file, session);
		return;
	}
	line(file, "guest time", umbra_guest_time(guest), "nanoseconds", 0);
	fputs("  KVM's statistics:\n", file);
	report_kvm(file, guest);
}
