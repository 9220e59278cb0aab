/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No VMM: guest-physical is host-physical, nothing is intercepted, nothing exits. */
#include "paging/vmm.h"

static int enter(struct vmm *vmm)
{
	int error = 0;

	for (unsigned i = 0; i < vmm->nr_hw && !error; i++) {
		vmm->hw[i]->intercepts = 0;
		vmm->hw[i]->eptp = 0;
		error = hw_paging_changed(vmm->hw[i], &(struct hw_paging){0});
	}
	return error;
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
