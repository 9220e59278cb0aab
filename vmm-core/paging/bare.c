/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No VMM: guest-physical is host-physical, nothing is intercepted, nothing exits. */
#include "paging/vmm.h"

static int enter(struct vmm *vmm)
{
	struct hw *hw = vmm->hw;

	hw->intercepts = 0;
	hw->eptp = 0;
	return hw_paging_changed(hw, &(struct hw_paging){0});
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
