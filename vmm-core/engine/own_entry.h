/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's own entry for an address, and the address by which the guest can read it. */
#ifndef ENGINE_OWN_ENTRY_H
#define ENGINE_OWN_ENTRY_H

#include "paging/vmm.h"

/*
 * The entry of the guest's tables at which a walk of @gva ends, by the vCPU's registers as the
 * guest has them. Changes no accessed bit.
 * False: the guest does not page, or a PDPTE register ends the walk.
 */
bool own_entry_find(struct vmm *vmm, struct hw *hw, uint64_t gva, struct umbra_leaf *ret_leaf);
/*
 * The lowest address that the guest's tables map to @gpa. 0; -ENOENT: there is none; -ENOMEM.
 */
int own_entry_address(struct vmm *vmm, struct hw *hw, uint64_t gpa, uint64_t *ret_gva);

#endif
