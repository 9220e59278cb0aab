/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No VMM: guest-physical is host-physical, nothing is intercepted, nothing exits. */
#include "paging/vmm.h"

static int enter(struct vmm *vmm)
{
	for (unsigned i = 0; i < vmm->nr_hw; i++) {
		struct hw *hw = vmm->hw[i];

		hw->intercepts = 0;
		hw->eptp = 0;
		hw_set_registers(hw);
		hw_flush(hw);
	}
	return 0;
}

static uint64_t leave(struct vmm *vmm)
{
	return 0;
}

static void empty(struct vmm *vmm)
{
}

const struct mode_ops mode_bare = {
	.enter = enter,
	.leave = leave,
	.empty = empty,
};
