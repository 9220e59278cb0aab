/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "collectors/sample.h"
#include "cost/cost.h"
#include "policy/policy.h"
#include "schemas/metrics.h"
#include "schemas/names.h"
#include "umbra/end.h"
#include "umbra/mode.h"
#include "umbra/translate.h"

static const char *const states[GUEST_STATE_COUNT] = {
	[GUEST_STARTING] = "starting", [GUEST_RUNNING] = "running", [GUEST_PAUSED] = "paused",
	[GUEST_ENDED] = "ended",       [GUEST_FAILED] = "failed",
};

static const char *const policy_sources[POLICY_SOURCE_COUNT] = {
	[POLICY_SOURCE_CONFIGURATION] = "configuration",
	[POLICY_SOURCE_WORKLOAD] = "workload",
	[POLICY_SOURCE_OPERATOR] = "operator",
};

static const char *const gprs[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
				   "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const selectors[] = {"es", "cs", "ss", "ds", "fs", "gs"};

const char *guest_state_name(enum guest_state state)
{
	return states[state];
}

const char *register_name(int i)
{
	return gprs[i];
}

const char *selector_name(int i)
{
	return selectors[i];
}

const char *policy_source_name(enum policy_source source)
{
	return policy_sources[source];
}

static const char *state_at(int i)
{
	return states[i];
}

static const char *mode_at(int i)
{
	return umbra_mode_name(i);
}

static const char *policy_at(int i)
{
	return policy_kind_name(i);
}

static const char *policy_source_at(int i)
{
	return policy_sources[i];
}

static const char *clock_at(int i)
{
	return umbra_clock_name(i);
}

/* UMBRA_END_NONE is never shown: a guest that lives has no end. */
static const char *end_reason_at(int i)
{
	return umbra_end_reason_name(i + 1);
}

static const char *action_at(int i)
{
	return policy_action_name(i);
}

static const char *input_at(int i)
{
	return policy_input_name(i);
}

static const char *figure_at(int i)
{
	return umbra_cost_rows[i].name;
}

static const char *const accesses[] = {
	[UMBRA_EXPLAIN_READ] = "read",
	[UMBRA_EXPLAIN_WRITE] = "write",
	[UMBRA_EXPLAIN_EXECUTE] = "execute",
};

const char *access_name(int i)
{
	return accesses[i];
}

static const char *privilege_at(int i)
{
	return umbra_privilege_name(i);
}

static const char *paging_at(int i)
{
	return umbra_paging_name(i);
}

static const char *outcome_at(int i)
{
	return umbra_outcome_name(i);
}

static const char *walk_end_at(int i)
{
	return umbra_walk_end_name(i);
}

/* UMBRA_KNOWN is never shown: what is known has its value. */
static const char *unknown_at(int i)
{
	return umbra_unknown_name(i + 1);
}

static const char *level_at(int i)
{
	return umbra_level_name(i + 1);
}

/* The guest's, EPT's, and those that have the name of their mode. */
static const char *table_at(int i)
{
	static const char *const tables[] = {"guest", "brute", "shadow", "EPT"};

	return tables[i];
}

static const char *exit_reason_at(int i)
{
	return umbra_exit_reason_name(i);
}

static const char *kvm_exit_reason_at(int i)
{
	return metric_kvm_exit_reasons.values[i].name;
}

static const char *engine_at(int i)
{
	return i ? "kvm" : "soft";
}

static const char *method_at(int i)
{
	return i ? "PUT" : "GET";
}

const struct name_list state_names = {GUEST_STATE_COUNT, state_at};
const struct name_list mode_names = {UMBRA_MODE_COUNT, mode_at};
const struct name_list policy_names = {POLICY_KIND_COUNT, policy_at};
const struct name_list policy_source_names = {POLICY_SOURCE_COUNT, policy_source_at};
const struct name_list clock_names = {UMBRA_CLOCK_COUNT, clock_at};
const struct name_list end_reason_names = {UMBRA_END_REASON_COUNT - 1, end_reason_at};
const struct name_list action_names = {POLICY_ACTION_COUNT, action_at};
const struct name_list input_names = {POLICY_INPUT_COUNT, input_at};
const struct name_list figure_names = {UMBRA_COST_COUNT, figure_at};
const struct name_list engine_names = {2, engine_at};
const struct name_list method_names = {2, method_at};
const struct name_list access_names = {UMBRA_EXPLAIN_EXECUTE + 1, access_name};
const struct name_list privilege_names = {UMBRA_PRIVILEGE_COUNT, privilege_at};
const struct name_list paging_names = {UMBRA_PAGING_COUNT, paging_at};
const struct name_list outcome_names = {UMBRA_OUTCOME_COUNT, outcome_at};
const struct name_list walk_end_names = {UMBRA_WALK_END_COUNT, walk_end_at};
const struct name_list unknown_names = {UMBRA_UNKNOWN_COUNT - 1, unknown_at};
const struct name_list level_names = {UMBRA_TABLE_LEVELS, level_at};
const struct name_list table_names = {4, table_at};
const struct name_list kvm_exit_reason_names = {KVM_EXIT_REASON_COUNT, kvm_exit_reason_at};
const struct name_list exit_reason_names = {UMBRA_EXIT_REASON_COUNT, exit_reason_at};
