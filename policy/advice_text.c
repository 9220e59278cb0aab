/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/advice_text.h"

/* Walks below this share of guest time are no reason for larger pages. */
#define WALKS_WORTH 0.02
/* Above this they are one for the largest. */
#define WALKS_HEAVY 0.05
/* A VM of which KVM maps less says nothing about its pages. */
#define MAPPED_MIN (16ULL << 20)

enum { AMOUNT_MAX = 64 };

struct amount {
	char text[AMOUNT_MAX];
};

void advice_append(char text[ADVICE_TEXT_MAX], const char *format, ...)
{
	size_t length = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + length, ADVICE_TEXT_MAX - length, format, args);
	va_end(args);
}

static struct amount cycles(double per_second)
{
	struct amount amount;

	snprintf(amount.text, sizeof(amount.text), "%.4g million cycles a second",
		 per_second / 1e6);
	return amount;
}

/* "12.3% of guest time", or cycles where guest time is not known. */
static struct amount of_guest(const struct advice *advice, double per_second)
{
	struct amount amount;

	if (advice->guest_cycles_per_second <= 0)
		return cycles(per_second);
	snprintf(amount.text, sizeof(amount.text), "%.1f%% of guest time",
		 per_second * 100 / advice->guest_cycles_per_second);
	return amount;
}

#define OF_GUEST(per_second) (of_guest(advice, per_second).text)

/* --- the reason --------------------------------------------------------------------------- */

void advice_say_idle(struct advice *advice, double seconds)
{
	advice_append(advice->reason, "the VM hardly ran: %s, seen for %.0f s",
		      cycles(advice->guest_cycles_per_second).text, seconds);
}

static void say_of_shadow(struct advice *advice)
{
	const struct advice_cost *shadow = &advice->cost[UMBRA_MODE_SHADOW];
	const struct advice_cost *ept = &advice->cost[UMBRA_MODE_EPT];

	advice_append(advice->reason, "shadow's exits take %s, which ept would save; ",
		      OF_GUEST(shadow->exits_per_second));
	advice_append(advice->reason, "page walks take %s and would take ",
		      OF_GUEST(shadow->walks_per_second));
	advice_append(advice->reason, "%s", OF_GUEST(ept->walks_per_second));
}

static void say_of_ept(struct advice *advice)
{
	const struct advice_cost *shadow = &advice->cost[UMBRA_MODE_SHADOW];
	const struct advice_cost *ept = &advice->cost[UMBRA_MODE_EPT];

	advice_append(advice->reason, "page walks take %s, ", OF_GUEST(ept->walks_per_second));
	advice_append(advice->reason, "of which shadow would save the second step, %s; ",
		      OF_GUEST(ept->walks_per_second - shadow->walks_per_second));
	advice_append(advice->reason, "its exits would take %s, by the TLB flushes",
		      OF_GUEST(shadow->exits_per_second));
	if (advice->better == UMBRA_MODE_SHADOW)
		advice_append(advice->reason,
			      "; page faults and writes of tables that need no flush come on top, "
			      "and are not seen in ept");
}

/* Which mode is on makes too little of a difference to this VM. */
static bool is_small(const struct advice *advice)
{
	double difference = fabs(advice->cost[UMBRA_MODE_SHADOW].cycles_per_second -
				 advice->cost[UMBRA_MODE_EPT].cycles_per_second);

	return advice->guest_known && difference < ADVICE_WORTH * advice->guest_cycles_per_second;
}

void advice_say_compared(struct advice *advice)
{
	if (advice->mode == UMBRA_MODE_SHADOW)
		say_of_shadow(advice);
	else
		say_of_ept(advice);
	if (is_small(advice))
		advice_append(advice->reason, "; the difference is too small to act on");
}

void advice_say_ruled_out(struct advice *advice)
{
	double saving = advice->cost[UMBRA_MODE_EPT].cycles_per_second -
			advice->cost[UMBRA_MODE_SHADOW].least_per_second;

	advice_append(advice->reason, "page walks take %s; ",
		      OF_GUEST(advice->cost[UMBRA_MODE_EPT].walks_per_second));
	advice_append(advice->reason, "shadow could save %s at the most: too little to act on",
		      OF_GUEST(fmax(0, saving)));
}

static const char *why(const char *state, const char *otherwise)
{
	return state && strcmp(state, "ok") ? state : otherwise;
}

static void say_walks_missing(struct advice *advice, const struct advice_input *input)
{
	advice_append(advice->reason, "page walks are not measured: %s",
		      why(input->perf_event_state, "no event of this processor counts them"));
}

void advice_say_unknown(struct advice *advice, const struct advice_input *input)
{
	const struct advice_cost *on = &advice->cost[advice->mode];
	const struct advice_cost *shadow = &advice->cost[UMBRA_MODE_SHADOW];
	const struct advice_cost *ept = &advice->cost[UMBRA_MODE_EPT];

	if (on->exits_known)
		advice_append(advice->reason, "exits for the sake of %s take %s; ",
			      umbra_mode_name(advice->mode), OF_GUEST(on->exits_per_second));
	else
		advice_append(advice->reason, "exits are not measured: %s; ",
			      why(input->kvm_exits_state, "nobody counts them"));
	if (!on->walks_known) {
		say_walks_missing(advice, input);
		return;
	}
	/* Both walks, and what the other mode's exits take, may be known all the same. */
	if (advice->mode == UMBRA_MODE_EPT && shadow->known) {
		say_of_ept(advice);
		return;
	}
	advice_append(advice->reason, "page walks take %s; ", OF_GUEST(on->walks_per_second));
	if (advice->mode == UMBRA_MODE_SHADOW && ept->walks_known)
		advice_append(advice->reason, "they would take %s in ept",
			      OF_GUEST(ept->walks_per_second));
	else if (advice->mode == UMBRA_MODE_SHADOW)
		advice_append(advice->reason, "what ept would make of them is not known without "
					      "TLB misses");
	else
		advice_append(advice->reason,
			      "shadow could save %s at the most, and what its exits would take is "
			      "not seen in ept",
			      OF_GUEST(fmax(0, on->walks_per_second + on->exits_per_second -
						       shadow->least_per_second)));
}

/* --- what is missing ---------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void miss_out(struct advice *advice, const char *what,
							   const char *format, ...)
{
	struct advice_missing *missing = &advice->missing[advice->nr_missing];
	va_list args;

	if (advice->nr_missing == ADVICE_MISSING_MAX)
		return;
	missing->what = what;
	va_start(args, format);
	vsnprintf(missing->why, sizeof(missing->why), format, args);
	va_end(args);
	advice->nr_missing++;
}

static void miss_walks(const struct advice_input *input, double miss, struct advice *advice)
{
	const struct policy_input *inputs = input->inputs;
	unsigned int borrowed = umbra_cost_table_borrowed(input->cost);

	if (miss > 0)
		miss_out(advice, "walk_cycles",
			 "TLB misses times %.0f cycles of the cost table%s: %s", miss,
			 borrowed ? ", uncalibrated" : "",
			 why(input->perf_event_state, "no event of this processor counts them"));
	else if (!inputs[POLICY_INPUT_walk_cycles].known)
		miss_out(advice, "walk_cycles", "%s",
			 why(input->perf_event_state, "no event of this processor counts them"));
	else if (input->mode == UMBRA_MODE_EPT && !inputs[POLICY_INPUT_walk_cycles_nested].known)
		miss_out(advice, "walk_cycles_nested",
			 "%s does not count the second step apart: it is the cost table's",
			 input->cost->processor);
}

void advice_list_missing(const struct advice_input *input, double miss, struct advice *advice)
{
	const struct policy_input *inputs = input->inputs;
	unsigned int borrowed = umbra_cost_table_borrowed(input->cost);

	if (!input->mode_known) {
		miss_out(advice, "mode", "%s", why(input->kvm_state, "the host does not tell"));
		return;
	}
	if (!inputs[POLICY_INPUT_cycles].known)
		miss_out(advice, "cycles", "%s",
			 why(input->perf_event_state, "the processor's frequency is not known"));
	miss_walks(input, miss, advice);
	if (!inputs[POLICY_INPUT_exits_mode].known)
		miss_out(advice, "exits_mode", "%s",
			 why(input->kvm_exits_state, "not all that it takes is counted"));
	else if (!inputs[POLICY_INPUT_exit_cycles_mode].known &&
		 !inputs[POLICY_INPUT_exit_cycles].known)
		miss_out(advice, "exit_cycles",
			 "exits are not timed (%s): the cost table's figures",
			 why(input->kvm_exits_state, "none was yet"));
	if (input->mode == UMBRA_MODE_SHADOW && inputs[POLICY_INPUT_exits_mode].known &&
	    !inputs[POLICY_INPUT_guest_cr3_loads].known)
		miss_out(advice, "guest_cr3_loads", "%s",
			 why(input->kvm_exits_state, "nobody counts them"));
	if (input->mode == UMBRA_MODE_EPT)
		miss_out(advice, "guest_table_work",
			 "in ept CR3 loads, INVLPG, page faults and writes of tables do not exit%s",
			 inputs[POLICY_INPUT_tlb_flushes].known ? ": TLB flushes stand for them"
								: "");
	if (!input->pages_known)
		miss_out(advice, "kvm_pages", "%s",
			 why(input->kvm_state, "this kernel does not count them"));
	if (borrowed)
		miss_out(advice, "costs",
			 "uncalibrated: %u of %zu figures are those of %s, not of %s", borrowed,
			 UMBRA_COST_COUNT, umbra_cost_processor, input->cost->processor);
}

/* --- what can be done --------------------------------------------------------------------- */

/* Its reason and how are yet to be appended to; NULL: there is no room. */
static struct advice_recommendation *recommend(struct advice *advice, const char *action)
{
	struct advice_recommendation *new = &advice->recommendations[advice->nr_recommendations];

	if (advice->nr_recommendations == ADVICE_RECOMMENDATIONS_MAX)
		return NULL;
	*new = (struct advice_recommendation){.action = action};
	advice->nr_recommendations++;
	return new;
}

static const char *const how_huge[] = {
	[ADVICE_THP_UNKNOWN] = "",
	[ADVICE_THP_NEVER] =
		"transparent huge pages are off: write madvise or always to "
		"/sys/kernel/mm/transparent_hugepage/enabled and start the VM anew, or ",
	[ADVICE_THP_MADVISE] = "transparent huge pages are for programs that ask for them (QEMU "
			       "does); where that is not enough, ",
	[ADVICE_THP_ALWAYS] = "transparent huge pages are on and do not suffice: ",
};

/* Of guest time; -1: not known. */
static double share_of_walks(const struct advice *advice)
{
	if (!advice->mode_known || advice->guest_cycles_per_second <= 0 ||
	    !advice->cost[advice->mode].walks_known)
		return -1;
	return advice->cost[advice->mode].walks_per_second / advice->guest_cycles_per_second;
}

/* Larger pages behind the guest's memory make walks fewer and shorter. */
static void recommend_pages(const struct advice_input *input, struct advice *advice)
{
	double small = (double)input->pages[UMBRA_PAGE_4k] * 0x1p12;
	double large = (double)input->pages[UMBRA_PAGE_2m] * 0x1p21;
	double mapped = small + large + (double)input->pages[UMBRA_PAGE_1g] * 0x1p30;
	double walks = share_of_walks(advice);
	bool much_small = small > mapped / 2;
	struct advice_recommendation *new;

	if (!input->pages_known || mapped < MAPPED_MIN || (walks >= 0 && walks < WALKS_WORTH) ||
	    (!much_small && (walks < WALKS_HEAVY || large < mapped / 2)))
		return;
	new = recommend(advice, "huge_pages");
	if (!new)
		return;
	advice_append(new->reason, "KVM maps %.0f%% of the VM's memory in %s pages",
		      (much_small ? small : large) * 100 / mapped, much_small ? "4 KiB" : "2 MiB");
	if (walks >= 0)
		advice_append(new->reason, "; page walks take %.1f%% of guest time", walks * 100);
	else
		advice_append(new->reason, "; what its page walks take is not measured");
	if (advice->mode == UMBRA_MODE_SHADOW)
		advice_append(new->reason,
			      "; shadow maps large pages only where the guest does too");
	advice_append(new->how,
		      "%sback its memory with hugetlbfs pages of %s: libvirt "
		      "<memoryBacking><hugepages/>, QEMU -object memory-backend-memfd,hugetlb=on",
		      much_small ? how_huge[input->thp] : "", much_small ? "2 MiB" : "1 GiB");
}

/* KVM maps what a guest executes in small pages, against a fault of some processors. */
static void recommend_nx(const struct advice_input *input, struct advice *advice)
{
	struct advice_recommendation *new;

	if (!input->nx_splits_known || !input->nx_splits)
		return;
	new = recommend(advice, "nx_huge_pages");
	if (!new)
		return;
	advice_append(new->reason,
		      "%llu huge pages are mapped in 4 KiB pieces because the guest executes code "
		      "in them (kvm.nx_huge_pages)",
		      (unsigned long long)input->nx_splits);
	advice_append(new->how, "where /sys/devices/system/cpu/vulnerabilities/itlb_multihit says "
				"\"Not affected\", or every guest is trusted: write off to "
				"/sys/module/kvm/parameters/nx_huge_pages; it is the whole host's");
}

void advice_recommend(const struct advice_input *input, struct advice *advice)
{
	recommend_pages(input, advice);
	recommend_nx(input, advice);
}

/* All VMs of the host together. */
struct sums {
	size_t nr, nr_known;
	double on, other, guest; /* cycles a second of the known ones */
};

static enum umbra_mode other_of(enum umbra_mode mode)
{
	return mode == UMBRA_MODE_SHADOW ? UMBRA_MODE_EPT : UMBRA_MODE_SHADOW;
}

static struct sums add_up(struct advice *const advice[], size_t nr)
{
	struct sums sums = {.nr = nr};

	for (size_t i = 0; i < nr; i++) {
		const struct advice_cost *on, *other;

		if (!advice[i]->mode_known || !advice[i]->guest_known)
			continue;
		on = &advice[i]->cost[advice[i]->mode];
		other = &advice[i]->cost[other_of(advice[i]->mode)];
		if (!on->known || !other->known)
			continue;
		sums.nr_known++;
		sums.on += on->cycles_per_second;
		sums.other += other->cycles_per_second;
		sums.guest += advice[i]->guest_cycles_per_second;
	}
	return sums;
}

/* "12.3% of guest time" of all VMs together. */
static struct amount of_all(const struct sums *sums, double per_second)
{
	const struct advice all = {.guest_known = true, .guest_cycles_per_second = sums->guest};

	return of_guest(&all, per_second);
}

static void recommend_mode(enum advice_kvm kvm, const struct sums *sums, struct advice *advice)
{
	const char *module = kvm == ADVICE_KVM_INTEL ? "kvm_intel" : "kvm_amd";
	const char *parameter = kvm == ADVICE_KVM_INTEL ? "ept" : "npt";
	const char *better = umbra_mode_name(advice->better);
	struct advice_recommendation *new = recommend(advice, "mode");
	int value = advice->better == UMBRA_MODE_EPT;
	double saving = sums->on - sums->other;
	bool pays = sums->nr_known == sums->nr && saving >= ADVICE_WORTH * sums->guest;

	if (!new)
		return;
	if (pays)
		advice_append(new->reason, "%s would cost the host's %zu VMs less, together by %s",
			      better, sums->nr, of_all(sums, saving).text);
	else if (sums->nr_known < sums->nr)
		advice_append(new->reason,
			      "%s would cost this VM less, but of %zu of the host's %zu VMs that "
			      "is not known",
			      better, sums->nr - sums->nr_known, sums->nr);
	else
		advice_append(new->reason,
			      "%s would cost this VM less, but the host's %zu VMs together %s, "
			      "by %s",
			      better, sums->nr, saving > 0 ? "too little less to act on" : "more",
			      of_all(sums, fabs(saving)).text);
	advice_append(new->reason, "; confidence: %s", advice->confidence);
	if (pays)
		advice_append(new->how,
			      "it is the whole host's: stop all its VMs, then modprobe -r %s; "
			      "modprobe %s %s=%d; to keep it: \"options %s %s=%d\" in "
			      "/etc/modprobe.d",
			      module, module, parameter, value, module, parameter, value);
	else
		advice_append(new->how,
			      "leave the host as it is; one with %s.%s=%d would suit this VM",
			      module, parameter, value);
}

void advice_host_mode(enum advice_kvm kvm, struct advice *const advice[], size_t nr)
{
	struct sums sums = add_up(advice, nr);

	/* Without hardware there is no other mode; of an unknown KVM nobody knows how. */
	if (kvm != ADVICE_KVM_INTEL && kvm != ADVICE_KVM_AMD)
		return;
	for (size_t i = 0; i < nr; i++) {
		if (advice[i]->mode_known && advice[i]->better_known &&
		    advice[i]->better != advice[i]->mode && !is_small(advice[i]))
			recommend_mode(kvm, &sums, advice[i]);
	}
}
