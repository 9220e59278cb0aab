/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host's KVM is: which paging mode its VMs have, and what decides that. */
#ifndef COLLECTORS_KVM_HOST_H
#define COLLECTORS_KVM_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "umbra/mode.h"

enum { KVM_HOST_TEXT_MAX = 32, KVM_HOST_REASON_MAX = 256, KVM_HOST_HUGETLB_MAX = 4 };

/* Huge pages of one size that the host has set aside. */
struct kvm_host_hugetlb {
	uint64_t page_bytes, pages, free;
};

/* Text is as the kernel says it; empty: not known. */
struct kvm_host {
	bool available;                    /* the kernel has KVM, and /dev/kvm is there */
	char module[KVM_HOST_TEXT_MAX];    /* "kvm_intel", "kvm_amd"; else without hardware */
	enum umbra_mode mode;              /* of its VMs; UMBRA_MODE_COUNT: not known */
	char parameter[KVM_HOST_TEXT_MAX]; /* that says so: "kvm_intel.ept=Y" */
	char reason[KVM_HOST_REASON_MAX];  /* why the mode is this one; why there is no KVM */
	char transparent_hugepage[KVM_HOST_TEXT_MAX]; /* "always", "madvise", "never" */
	char nx_huge_pages[KVM_HOST_TEXT_MAX];        /* of module kvm */
	char lockdown[KVM_HOST_TEXT_MAX];             /* "none", "integrity", "confidentiality" */
	struct kvm_host_hugetlb hugetlb[KVM_HOST_HUGETLB_MAX];
	size_t nr_hugetlb;
};

/* Reads it below @sys ("/sys", or another folder in tests). */
void kvm_host_read(const char *sys, struct kvm_host *ret);

#endif
