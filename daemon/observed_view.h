/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is shown of VMs that umbra-collect measures. */
#ifndef DAEMON_OBSERVED_VIEW_H
#define DAEMON_OBSERVED_VIEW_H

#include "daemon/observed.h"
#include "web/snapshot.h"

/* All of these copy into @snapshot; 0 or -1: out of memory. */

/*
 * The VM of another program, as a guest. @id: its own, or one that nobody else has. Its mode is
 * that of the host's KVM, which @snapshot has already.
 */
int observed_view(struct snapshot *snapshot, const struct observed *observed,
		  const struct observed_vm *vm, const char *id, struct guest_view *view);
/* What is measured of the VM of a guest of Umbra's own, beside what its worker counts. */
int observed_view_own(struct snapshot *snapshot, const struct observed *observed,
		      const struct observed_vm *vm, struct guest_view *view);

#endif
