/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "policy/policy.h"

static const char *const kind_names[POLICY_KIND_COUNT] = {
	[POLICY_AUTO] = "auto",
	[POLICY_ADVISE] = "advise",
	[POLICY_PINNED] = "pinned",
};

static const char *const action_names[POLICY_ACTION_COUNT] = {
	[POLICY_STAY] = "stay",
	[POLICY_SWITCH] = "switch",
	[POLICY_ROLLBACK] = "rollback",
};

static const char *const input_names[POLICY_INPUT_COUNT] = {
#define POLICY_INPUT(name, unit, help) [POLICY_INPUT_##name] = #name,
#include "policy/inputs.def"
#undef POLICY_INPUT
};

static const char *const reason_names[] = {
#define POLICY_REASON(name, help) #name,
#include "policy/reasons.def"
#undef POLICY_REASON
};

const char *policy_kind_name(enum policy_kind kind)
{
	return kind_names[kind];
}

int policy_kind_parse(const char *name, enum policy_kind *ret_kind)
{
	for (int i = 0; i < POLICY_KIND_COUNT; i++) {
		if (!strcmp(kind_names[i], name)) {
			*ret_kind = i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *policy_action_name(enum policy_action action)
{
	return action_names[action];
}

const char *policy_input_name(enum policy_input_id id)
{
	return input_names[id];
}

const char *policy_reason_find(const char *name)
{
	for (size_t i = 0; i < sizeof(reason_names) / sizeof(reason_names[0]); i++) {
		if (!strcmp(reason_names[i], name))
			return reason_names[i];
	}
	return NULL;
}
