/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_OBSERVED_INPUTS_H
#define DAEMON_OBSERVED_INPUTS_H

#include "collectors/sample.h"
#include "policy/policy.h"

/*
 * What the policy sees of a VM of the host's KVM between two samples. @cpus: its vCPUs; @mode: that
 * was on all the time, shadow or ept; UMBRA_MODE_COUNT: not known, and so is what depends on it.
 * @frequency: of the host's processor, in hertz, 0: not known; it turns times of exits into cycles.
 */
void observed_inputs(const struct vm_sample *before, const struct vm_sample *now, size_t cpus,
		     enum umbra_mode mode, double frequency,
		     struct policy_input ret_inputs[POLICY_INPUT_COUNT]);

#endif
