/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What shadow and ept cost a VM that Umbra only watches, and what its operator can do about it.
 * Pure: what was counted goes in, advice comes out; what was not measured is said to be missing,
 * never assumed.
 */
#ifndef POLICY_ADVICE_H
#define POLICY_ADVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cost/cost.h"
#include "policy/policy.h"
#include "umbra/counters.h"

/* What the host's KVM is: it names the parameter that chooses the mode. */
enum advice_kvm {
	ADVICE_KVM_UNKNOWN,
	ADVICE_KVM_INTEL,       /* kvm_intel.ept */
	ADVICE_KVM_AMD,         /* kvm_amd.npt */
	ADVICE_KVM_NO_HARDWARE, /* without hardware virtualization: shadow is all there is */
};

/* The host's transparent huge pages. */
enum advice_thp { ADVICE_THP_UNKNOWN, ADVICE_THP_NEVER, ADVICE_THP_MADVISE, ADVICE_THP_ALWAYS };

/* What is known of one VM over one interval. */
struct advice_input {
	double seconds; /* length of the interval, above 0 */
	/* Growth over it, cycles with those of exits; what only a model sees is unknown. */
	struct policy_input inputs[POLICY_INPUT_COUNT];
	bool mode_known;
	enum umbra_mode mode; /* that was on all the time: shadow or ept */
	enum advice_kvm kvm;
	const struct umbra_cost_table *cost; /* of the host's processor; borrowed for the call */
	double frequency; /* nominal, in hertz, by which times became cycles; 0: not known */
	bool pages_known;
	uint64_t pages[UMBRA_PAGE_SIZE_COUNT]; /* that KVM maps, by the size of its entry, each in
						* pages of that size */
	bool nx_splits_known;
	uint64_t nx_splits; /* huge mappings that are split because they are executed */
	enum advice_thp thp;
	/* The collectors' states, as why something is missing; borrowed; NULL: not told. */
	const char *perf_event_state, *kvm_exits_state, *kvm_state;
};

enum { ADVICE_TEXT_MAX = 320, ADVICE_MISSING_MAX = 8, ADVICE_RECOMMENDATIONS_MAX = 6 };

/* What a mode costs: page walks, and the exits that are there for its sake. */
struct advice_cost {
	bool known;               /* cycles_per_second, share and uncertainty are */
	double cycles_per_second; /* of all vCPUs together */
	bool share_known;
	double share;       /* of guest time: of the cycles that its vCPUs ran, exits included */
	double uncertainty; /* in cycles a second */
	/* Its parts, as far as each is known; also where the whole is not. */
	bool exits_known, walks_known;
	double exits_per_second, walks_per_second; /* cycles a second */
	/* Where the whole is not known: it cannot be less than this. */
	bool least_known;
	double least_per_second;
};

struct advice_missing {
	const char *what; /* a static string: "walks" */
	char why[ADVICE_TEXT_MAX];
};

struct advice_recommendation {
	const char *action; /* a static string: "mode", "huge_pages", "nx_huge_pages" */
	char reason[ADVICE_TEXT_MAX];
	char how[ADVICE_TEXT_MAX];
};

struct advice {
	bool mode_known;
	enum umbra_mode mode; /* that is on */
	double frequency;     /* as of the input */
	bool guest_known;
	double guest_cycles_per_second;            /* guest time: what share is a share of */
	struct advice_cost cost[UMBRA_MODE_COUNT]; /* of shadow and ept */
	bool better_known;
	enum umbra_mode better;  /* shadow or ept; also the one that is on */
	const char *confidence;  /* a static string: "none", "low", "medium", "high" */
	double confidence_share; /* 0 to 1: the difference over difference and uncertainty */
	char reason[ADVICE_TEXT_MAX];
	struct advice_missing missing[ADVICE_MISSING_MAX];
	size_t nr_missing;
	struct advice_recommendation recommendations[ADVICE_RECOMMENDATIONS_MAX];
	size_t nr_recommendations;
};

void advice_make(const struct advice_input *input, struct advice *ret);

/*
 * The mode is the whole host's: @advice of all its VMs, each already made, gets the recommendation
 * about the mode, which is to change only if it pays for all of them together.
 */
void advice_host_mode(enum advice_kvm kvm, struct advice *const advice[], size_t nr);

#endif
