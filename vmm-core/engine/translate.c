/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where an address leads, without an access: the guest's own tables read in software, the tables of
 * the modes walked by a walker that writes nothing, and what would follow reckoned from the map of
 * memory.
 */
#include <errno.h>
#include <string.h>

#include "engine/guest.h"
#include "paging/shadow.h"
#include "umbra/translate.h"

struct look {
	const struct umbra_guest *guest;
	const struct hw *hw;
	enum hw_access access;
	enum hw_privilege privilege;
	struct guest_walk walk; /* the guest's own */
	bool fault;
	struct umbra_translation *to;
};

static const enum umbra_paging pagings[] = {
	[FORMAT_UNPAGED] = UMBRA_PAGING_OFF,     [FORMAT_2_LEVEL] = UMBRA_PAGING_32_BIT,
	[FORMAT_PAE] = UMBRA_PAGING_PAE,         [FORMAT_4_LEVEL] = UMBRA_PAGING_4_LEVEL,
	[FORMAT_5_LEVEL] = UMBRA_PAGING_5_LEVEL,
};

static const enum umbra_privilege privileges[HW_PRIVILEGES] = {
	[HW_SUPERVISOR] = UMBRA_PRIVILEGE_SUPERVISOR,
	[HW_USER] = UMBRA_PRIVILEGE_USER,
	[HW_SUPERVISOR_AC] = UMBRA_PRIVILEGE_SUPERVISOR_AC,
};

static bool is_touched(const struct memory *memory, uint64_t gpa)
{
	return memory->frame_of[gpa / PAGE_SIZE] != FRAME_NONE;
}

static uint64_t hpa_of(const struct memory *memory, uint64_t gpa)
{
	return (uint64_t)memory->frame_of[gpa / PAGE_SIZE] * PAGE_SIZE + (gpa & PAGE_MASK);
}

/* --- the guest's own tables ------------------------------------------------------------------- */

static void note_entries(struct look *look)
{
	const struct paging_rules *rules = &look->hw->guest_rules;
	const struct memory *memory = &look->guest->memory;
	struct umbra_translation *to = look->to;

	for (unsigned level = rules->levels; level >= look->walk.leaf && level; level--) {
		uint64_t gpa = look->walk.entry_gpa[level - 1];
		bool known = memory_is_ram(memory, gpa) && is_touched(memory, gpa);

		to->entry[to->nr_entries++] = (struct umbra_step){
			.kind = UMBRA_STEP_SOFTWARE,
			.table = UMBRA_TABLE_GUEST,
			.level = level,
			.index = table_index(rules->index_bits, to->gva, level),
			.gpa = gpa,
			.hpa = known ? hpa_of(memory, gpa) : UINT64_MAX,
			.entry = look->walk.entry[level - 1],
		};
	}
}

static void look_at_guest(struct look *look)
{
	const struct paging_rules *rules = &look->hw->guest_rules;
	const struct memory *memory = &look->guest->memory;
	struct umbra_translation *to = look->to;
	struct guest_walk *walk = &look->walk;

	to->paging = pagings[rules->format];
	to->cr3 = look->hw->guest.cr3;
	if (rules->format == FORMAT_UNPAGED) {
		/* As the VMM has it: by pages of the largest size. */
		*walk = (struct guest_walk){
			.gpa = to->gva, .rights = RIGHTS_ALL, .dirty = true, .leaf = 3};
	} else {
		if (rules->format == FORMAT_PAE)
			to->pdpte = look->hw->guest_pdpte[to->gva >> SHIFT_1G & 3];
		look->fault = !guest_look(look->guest->vmm, look->hw, to->gva, look->access,
					  look->privilege, walk);
		note_entries(look);
	}
	if (look->fault) {
		to->outcome = UMBRA_OUTCOME_FAULT;
		to->error_code = walk->error_code;
		return;
	}
	to->outcome = memory_is_ram(memory, walk->gpa) ? UMBRA_OUTCOME_RAM
		      : memory_is_mmio(memory, walk->gpa) && look->access != HW_FETCH
			      ? UMBRA_OUTCOME_DEVICE
			      : UMBRA_OUTCOME_NOBODY;
	to->gpa = walk->gpa;
	if (rules->format != FORMAT_UNPAGED)
		to->page_bytes = 1ull << level_shift(rules->index_bits, walk->leaf);
	to->write = walk->rights.write;
	to->user = walk->rights.user;
	to->execute = walk->rights.execute;
	to->key = walk->rights.key;
}

/* --- what a walk comes to that finds all in place --------------------------------------------- */

static enum umbra_unknown unknown_page(const struct look *look)
{
	static const enum umbra_unknown reasons[UMBRA_OUTCOME_COUNT] = {
		[UMBRA_OUTCOME_RAM] = UMBRA_KNOWN,
		[UMBRA_OUTCOME_FAULT] = UMBRA_UNKNOWN_FAULT,
		[UMBRA_OUTCOME_DEVICE] = UMBRA_UNKNOWN_DEVICE,
		[UMBRA_OUTCOME_NOBODY] = UMBRA_UNKNOWN_NOBODY,
	};

	return reasons[look->to->outcome];
}

/* The largest page that the TLB holds and that is no larger than this. */
static uint64_t tlb_bytes(unsigned shift)
{
	enum tlb_size size = TLB_4K;

	while (size + 1 < TLB_SIZES && tlb_shift[size + 1] <= shift)
		size++;
	return 1ull << tlb_shift[size];
}

static unsigned guest_shift(const struct look *look)
{
	const struct paging_rules *rules = &look->hw->guest_rules;

	return rules->format == FORMAT_UNPAGED ? 0
					       : level_shift(rules->index_bits, look->walk.leaf);
}

static void reckon_bare(const struct look *look, struct umbra_mode_walk *ret)
{
	unsigned shift = guest_shift(look);

	ret->references = look->to->nr_entries;
	ret->page_bytes = tlb_bytes(shift ? shift : PAGE_SHIFT);
	ret->walk_unknown = unknown_page(look);
}

static unsigned nested_references(const struct look *look, uint64_t gpa)
{
	return look->guest->vmm->ept_levels - ept_page_level(&look->guest->memory, gpa) + 1u;
}

static void reckon_ept(const struct look *look, struct umbra_mode_walk *ret)
{
	const struct memory *memory = &look->guest->memory;
	unsigned shift = guest_shift(look), nested;

	ret->walk_unknown = unknown_page(look);
	if (ret->walk_unknown)
		return;
	/* Tables lie in RAM: those that nobody holds lead to no page. */
	for (unsigned i = 0; i < look->to->nr_entries; i++)
		ret->references += nested_references(look, look->to->entry[i].gpa) + 1;
	ret->references += nested_references(look, look->walk.gpa);
	nested = level_shift(9, ept_page_level(memory, look->walk.gpa));
	ret->page_bytes = tlb_bytes(shift && shift < nested ? shift : nested);
}

/* Levels of the tables that the VMM makes for such a guest. */
static unsigned shadow_levels(const struct look *look)
{
	static const uint8_t levels[] = {
		[FORMAT_UNPAGED] = LEVELS,     [FORMAT_2_LEVEL] = ROOT_LEVEL_PAE,
		[FORMAT_PAE] = ROOT_LEVEL_PAE, [FORMAT_4_LEVEL] = LEVELS,
		[FORMAT_5_LEVEL] = MAX_LEVELS,
	};

	return levels[look->hw->guest_rules.format];
}

static void reckon_shadow(const struct look *look, struct umbra_mode_walk *ret)
{
	const struct vmm *vmm = look->guest->vmm;
	unsigned leaf = look->walk.leaf;

	ret->walk_unknown = unknown_page(look);
	if (ret->walk_unknown)
		return;
	while (leaf > 1 && level_shift(9, leaf) > vmm->memory->backing_shift)
		leaf--;
	/* Only while it is on does the VMM know where tables are. */
	if (leaf > 1 && ret->on)
		leaf = shadow_leaf_level(vmm->shadow, &look->walk);
	else if (leaf > 1)
		ret->walk_unknown = UMBRA_UNKNOWN_PIECES;
	ret->references = shadow_levels(look) - leaf + 1;
	ret->page_bytes = 1ull << level_shift(9, leaf);
}

static void reckon_hpa(const struct look *look, struct umbra_mode_walk *ret)
{
	const struct umbra_guest *guest = look->guest;
	bool bare = ret->mode == UMBRA_MODE_BARE;

	ret->hpa_unknown = unknown_page(look);
	if (ret->hpa_unknown)
		return;
	if (bare != (guest->vmm->mode == UMBRA_MODE_BARE))
		ret->hpa_unknown = UMBRA_UNKNOWN_BARE;
	else if (!is_touched(&guest->memory, look->walk.gpa))
		ret->hpa_unknown = UMBRA_UNKNOWN_UNTOUCHED;
	else
		ret->hpa = hpa_of(&guest->memory, look->walk.gpa);
}

/* --- the hardware's walk ---------------------------------------------------------------------- */

static void note_reference(void *context, const struct umbra_step *step)
{
	struct umbra_mode_walk *walk = context;

	if (walk->nr_steps < UMBRA_WALK_REFERENCES)
		walk->step[walk->nr_steps++] = *step;
}

/* Where the walker knows an HPA alone, the guest's own entries say which GPA it is. */
static void complete(const struct look *look, struct umbra_mode_walk *ret)
{
	const struct umbra_translation *to = look->to;

	for (unsigned i = 0; i < ret->nr_steps; i++) {
		struct umbra_step *step = &ret->step[i];

		for (unsigned n = 0; n < to->nr_entries; n++)
			if (step->table == UMBRA_TABLE_GUEST && to->entry[n].hpa == step->hpa)
				step->gpa = to->entry[n].gpa;
	}
}

/* It found a page, of RAM or of the bus where nobody is. */
static void note_found(const struct look *look, const struct walk *walk,
		       struct umbra_mode_walk *ret)
{
	const struct memory *memory = &look->guest->memory;
	uint64_t bytes = 1ull << tlb_shift[walk->value >> TLB_SIZE_SHIFT & 3];
	uint64_t hpa = (walk->value & TLB_ADDRESS) + (look->to->gva & (bytes - 1));
	uint64_t frame = hpa / PAGE_SIZE;

	if (frame >= memory->frames.count || frame == memory->ones) {
		ret->end = look->access != HW_FETCH && memory_is_mmio(memory, hpa)
				   ? UMBRA_WALK_DEVICE
				   : UMBRA_WALK_NOBODY;
		return;
	}
	ret->end = UMBRA_WALK_TRANSLATED;
	ret->walk_unknown = ret->hpa_unknown = UMBRA_KNOWN;
	ret->references = ret->nr_steps;
	ret->page_bytes = bytes;
	ret->hpa = hpa;
}

/* @hw: as the mode has its registers. */
static void walk_hardware(const struct look *look, const struct mode_ops *ops, const struct hw *hw,
			  struct umbra_mode_walk *ret)
{
	struct hw_exit exit = {
		.gva = look->to->gva, .access = look->access, .privilege = look->privilege};
	struct walk walk = {0};
	enum walk_status status = hw_look(hw, look->to->gva, look->access, look->privilege,
					  note_reference, ret, &walk);

	complete(look, ret);
	if (status == WALK_OK) {
		note_found(look, &walk, ret);
		return;
	}
	if (status == WALK_FAULT) {
		ret->error_code = exit.error_code = walk.error_code;
		exit.reason = UMBRA_EXIT_page_fault;
		if (!(hw->intercepts & INTERCEPT_PAGE_FAULT)) {
			ret->end = UMBRA_WALK_FAULT;
			return;
		}
	} else {
		exit.reason = status == WALK_VIOLATION ? UMBRA_EXIT_ept_violation
						       : UMBRA_EXIT_ept_misconfiguration;
		ret->exit_gpa = exit.gpa = walk.gpa;
		exit.table = walk.table;
	}
	ret->reason = exit.reason;
	ret->end = ops->foresee(look->guest->vmm, hw, &exit, look->fault ? NULL : &look->walk);
	if (ret->end == UMBRA_WALK_EXIT_EMULATE)
		ret->walk_unknown = UMBRA_UNKNOWN_EMULATED;
}

static void look_at_mode(const struct look *look, enum umbra_mode mode, struct umbra_mode_walk *ret)
{
	const struct vmm *vmm = look->guest->vmm;

	ret->mode = mode;
	ret->on = mode == vmm->mode;
	reckon_hpa(look, ret);
	switch (mode) {
	case UMBRA_MODE_BARE: reckon_bare(look, ret); break;
	case UMBRA_MODE_EPT: reckon_ept(look, ret); break;
	default: reckon_shadow(look, ret); break;
	}
	if (ret->on) {
		walk_hardware(look, vmm->ops, look->hw, ret);
	} else if (mode == UMBRA_MODE_EPT && vmm->ept_root != UINT64_MAX) {
		/* They stay when another mode is on. */
		struct hw hw;

		ept_look(vmm, look->hw, &hw);
		walk_hardware(look, &mode_ept, &hw, ret);
	}
}

int umbra_guest_translate(const struct umbra_guest *guest, unsigned cpu, uint64_t gva,
			  enum umbra_explain_access access, struct umbra_translation *ret,
			  struct umbra_error *ret_error)
{
	struct look look = {.guest = guest, .access = guest_access(access), .to = ret};
	const struct paging_rules *rules;
	int error = guest_needs_soft(guest, "translate", ret_error);

	if (error)
		return error;
	if (cpu >= guest->nr_cpus)
		return umbra_error_set(ret_error, -EINVAL, guest->name, "cpu",
				       "there is no vCPU %u: the guest has %u, from 0 on", cpu,
				       guest->nr_cpus);
	look.hw = guest->hw[cpu];
	look.privilege = guest->cpu[cpu]->privilege;
	rules = &look.hw->guest_rules;
	if (!(look.hw->guest.efer & EFER_LMA) && gva >> 32)
		return umbra_error_set(ret_error, -EINVAL, guest->name, "gva",
				       "0x%llx is no address: vCPU %u is not in IA-32e mode, its "
				       "addresses have 32 bits",
				       (unsigned long long)gva, cpu);
	if (!guest_is_canonical(gva, rules->format == FORMAT_5_LEVEL))
		return umbra_error_set(ret_error, -EINVAL, guest->name, "gva",
				       "0x%llx is not canonical (SDM 1 3.3.7.1)",
				       (unsigned long long)gva);
	*ret = (struct umbra_translation){
		.gva = gva,
		.access = access,
		.cpu = cpu,
		.privilege = privileges[look.privilege],
		.instructions = guest->counters.instructions[0],
		.time = umbra_guest_time(guest),
	};
	look_at_guest(&look);
	for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++)
		look_at_mode(&look, mode, &ret->walk[mode]);
	return 0;
}
