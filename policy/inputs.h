/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the counters of one interval to what the policy sees of it. */
#ifndef POLICY_INPUTS_H
#define POLICY_INPUTS_H

#include <stdbool.h>

#include "policy/policy.h"
#include "umbra/counters.h"

/*
 * @delta: the counters' growth over one interval that all @cpus vCPUs spent in @mode alone. @model:
 * the engine is the simulator, so that what only a model sees is known too; otherwise those inputs
 * are unknown.
 */
void policy_inputs_fill(const struct umbra_counters *delta, unsigned int cpus, enum umbra_mode mode,
			bool model, struct policy_input ret_inputs[POLICY_INPUT_COUNT]);

#endif
