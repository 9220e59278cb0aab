/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names that outward fields may have as their value, or as their keys. */
#ifndef SCHEMAS_NAMES_H
#define SCHEMAS_NAMES_H

/* A list of names that an outward field may have: names(i) for 0 <= i < count. */
struct name_list {
	int count;
	const char *(*name)(int i);
};

extern const struct name_list state_names, mode_names, policy_names, policy_source_names,
	clock_names, end_reason_names, action_names, input_names, figure_names, engine_names,
	method_names, access_names, privilege_names, paging_names, outcome_names, walk_end_names,
	unknown_names, level_names, table_names, kvm_exit_reason_names, exit_reason_names;

/* The states of a guest in umbrad, in the order of state_names. */
enum guest_state {
	GUEST_STARTING,
	GUEST_RUNNING,
	GUEST_PAUSED,
	GUEST_ENDED,
	GUEST_FAILED,
	GUEST_STATE_COUNT
};
const char *guest_state_name(enum guest_state state);

/* Who said which policy a guest has. */
enum policy_source {
	POLICY_SOURCE_CONFIGURATION,
	POLICY_SOURCE_WORKLOAD,
	POLICY_SOURCE_OPERATOR,
	POLICY_SOURCE_COUNT
};
const char *policy_source_name(enum policy_source source);

const char *access_name(int i);   /* of enum umbra_explain_access */
const char *register_name(int i); /* of the general-purpose registers, in umbra_registers' order */
const char *selector_name(int i); /* of the segment registers, in umbra_registers' order */

#endif
