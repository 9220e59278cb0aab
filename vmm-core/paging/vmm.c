/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all modes share: dispatch of exits, the live switch and the account of its refill. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "paging/shadow.h"
#include "paging/vmm.h"

static const struct mode_ops *const mode_table[UMBRA_MODE_COUNT] = {
	[UMBRA_MODE_BARE] = &mode_bare,
	[UMBRA_MODE_BRUTE] = &mode_brute,
	[UMBRA_MODE_SHADOW] = &mode_shadow,
	[UMBRA_MODE_EPT] = &mode_ept,
};

static enum hw_resume on_memory_exit(void *context, struct hw *hw, const struct hw_exit *exit,
				     uint64_t *ret_hpa, uint32_t *ret_error_code)
{
	struct vmm *vmm = context;

	return vmm->ops->memory_exit(vmm, hw, exit, ret_hpa, ret_error_code);
}

static int on_cr3_load(void *context, struct hw *hw)
{
	struct vmm *vmm = context;

	return vmm->ops->cr3_load(vmm, hw);
}

static void on_invlpg(void *context, struct hw *hw, uint64_t gva)
{
	struct vmm *vmm = context;

	vmm->ops->invlpg(vmm, hw, gva);
}

static void on_attend(void *context, struct hw *hw)
{
	struct vmm *vmm = context;

	if (vmm->ops->attend)
		vmm->ops->attend(vmm, hw);
}

/* Empty tables are filled from the new map; a table write that is under way is finished first. */
static void on_map_changed(void *context)
{
	struct vmm *vmm = context;

	for (unsigned i = 0; i < vmm->nr_hw; i++)
		on_attend(vmm, vmm->hw[i]);
	vmm->ops->empty(vmm);
	/* They are kept while another mode is on. */
	if (vmm->mode != UMBRA_MODE_EPT && vmm->ept_root != UINT64_MAX)
		ept_free(vmm);
}

int vmm_create(struct hw *const hw[], unsigned nr_hw, struct memory *memory, enum umbra_mode mode,
	       struct vmm **ret_vmm, struct umbra_error *ret_error)
{
	struct vmm *vmm = calloc(1, sizeof(*vmm));
	int error;

	if (!vmm)
		return umbra_error_set(ret_error, -ENOMEM, "VMM", NULL, "out of memory");
	for (unsigned i = 0; i < nr_hw; i++)
		vmm->hw[i] = hw[i];
	vmm->nr_hw = nr_hw;
	vmm->memory = memory;
	vmm->mode = mode;
	vmm->ops = mode_table[mode];
	vmm->ept_root = UINT64_MAX;
	vmm->ept_levels = 4;
	for (unsigned i = 0; i < nr_hw; i++) {
		hw[i]->vpid = mode == UMBRA_MODE_BARE ? 0 : (uint16_t)(i + 1);
		hw[i]->vmm = (struct hw_vmm_entry){
			.vmm = vmm,
			.memory_exit = on_memory_exit,
			.cr3_load = on_cr3_load,
			.invlpg = on_invlpg,
			.attend = on_attend,
			.map_changed = on_map_changed,
		};
	}
	error = vmm->ops->enter(vmm);
	if (error) {
		vmm_destroy(vmm);
		return umbra_error_set(ret_error, error, "VMM", umbra_mode_name(mode),
				       "no memory for the mode's tables");
	}
	*ret_vmm = vmm;
	return 0;
}

void vmm_destroy(struct vmm *vmm)
{
	if (!vmm)
		return;
	shadow_destroy(vmm->shadow);
	free(vmm);
}

int vmm_set_ept_levels(struct vmm *vmm, unsigned levels)
{
	if (vmm->ept_root != UINT64_MAX)
		ept_free(vmm);
	vmm->ept_levels = levels;
	return vmm->mode == UMBRA_MODE_EPT ? vmm->ops->enter(vmm) : 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int vmm_switch(struct vmm *vmm, enum umbra_mode to, uint64_t instruction, uint64_t time,
	       struct umbra_error *ret_error)
{
	struct hw *hw = vmm->hw[0];
	uint64_t start = now_ns(), teardown, cycles;
	enum umbra_mode from = vmm->mode;
	uint64_t zapped;
	uint32_t tables;
	int error;

	if (from == UMBRA_MODE_BARE || to == UMBRA_MODE_BARE)
		return umbra_error_set(
			ret_error, -EPERM, "switch", umbra_mode_name(to),
			"bare has no VMM to switch: it is chosen at start and stays");
	if (from == to)
		return umbra_error_set(ret_error, -EALREADY, "switch", umbra_mode_name(to),
				       "the mode is on already");
	/* An emulated table write of the last instruction is finished first. */
	for (unsigned i = 0; i < vmm->nr_hw; i++)
		on_attend(vmm, vmm->hw[i]);
	zapped = vmm->ops->leave(vmm);
	teardown = now_ns() - start;
	tables = vmm->memory->tables;
	vmm->mode = to;
	vmm->ops = mode_table[to];
	vmm->switches++;
	error = vmm->ops->enter(vmm);
	if (error) {
		hw_fail(hw, "no memory for the tables of the mode switched to");
		return umbra_error_set(ret_error, error, "switch", umbra_mode_name(to),
				       "no memory for the mode's tables");
	}
	cycles = hw->cost.switch_pause + zapped * hw->cost.shadow_teardown;
	hw_charge(hw, cycles);
	hw->public.counters.switch_cycles[0] += cycles;
	hw->public.counters.switches[0]++;
	vmm->last = (struct umbra_switch){
		.instruction = instruction,
		.time = time,
		.from = from,
		.to = to,
		.zapped = zapped,
		.built = vmm->memory->tables - tables,
		.pause_ns = now_ns() - start,
		.teardown_ns = teardown,
	};
	return 0;
}

void vmm_count_refill(struct vmm *vmm, struct hw *hw, bool caused, uint64_t cycles)
{
	if (!caused || !vmm->switches)
		return;
	vmm->last.refill_fills++;
	vmm->last.refill_cycles += cycles;
	hw->public.counters.refill_fills[0]++;
	hw->public.counters.refill_cycles[0] += cycles;
}

void vmm_trace(const struct hw *hw, enum umbra_table table, unsigned level, unsigned index,
	       bool write, uint64_t gpa, uint64_t hpa, uint64_t entry)
{
	struct umbra_step step = {
		.kind = UMBRA_STEP_SOFTWARE,
		.table = table,
		.level = level,
		.index = index,
		.write = write,
		.gpa = table == UMBRA_TABLE_EPT ? 0 : gpa,
		.translates = table == UMBRA_TABLE_EPT ? gpa : 0,
		.hpa = hpa,
		.entry = entry,
	};

	if (hw->trace)
		hw->trace(hw->trace_context, &step);
}
