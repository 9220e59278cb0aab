/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A statistics descriptor of KVM (KVM_GET_STATS_FD of a VM or vCPU, "4.133" of the kernel's
 * virt/kvm/api.rst): a file that describes itself. Whoever holds it can read it; its offset may be
 * shared, so it is read with pread() alone. All that it says of itself is checked, for the other
 * side may be anybody.
 */
#ifndef UMBRA_KVM_STATS_H
#define UMBRA_KVM_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "umbra/error.h"
#include "umbra/kvm_counters.h"

enum umbra_kvm_stat_type {
	UMBRA_KVM_STAT_CUMULATIVE, /* only grows */
	UMBRA_KVM_STAT_INSTANT,    /* holds now */
	UMBRA_KVM_STAT_PEAK,       /* the largest so far */
	UMBRA_KVM_STAT_LINEAR,     /* histogram: value N counts from N * bucket on */
	UMBRA_KVM_STAT_LOG,        /* histogram: value 0 counts zeros, N from 2^(N-1) on */
	UMBRA_KVM_STAT_TYPE_COUNT,
};

enum umbra_kvm_stat_unit {
	UMBRA_KVM_STAT_NONE,
	UMBRA_KVM_STAT_BYTES,
	UMBRA_KVM_STAT_SECONDS,
	UMBRA_KVM_STAT_CYCLES,
	UMBRA_KVM_STAT_BOOLEAN,
	UMBRA_KVM_STAT_UNIT_COUNT,
};

enum {
	UMBRA_KVM_STAT_NAME_MAX = 48, /* with its NUL, as the kernel has it */
	UMBRA_KVM_STAT_ID_MAX = 64,
	UMBRA_KVM_STAT_NO_ROW = 0xffff,
};

/* One statistic; a value is that many times base^exponent of the unit. */
struct umbra_kvm_stat {
	char name[UMBRA_KVM_STAT_NAME_MAX]; /* of letters, digits and '_' */
	enum umbra_kvm_stat_type type;
	enum umbra_kvm_stat_unit unit;
	uint8_t base; /* 10 or 2 */
	int16_t exponent;
	uint16_t nr_values; /* 1; of a histogram its buckets, the last one without an end */
	uint32_t bucket;    /* of a linear histogram: the width of a bucket */
	uint16_t row;       /* index in struct umbra_kvm_counters; UMBRA_KVM_STAT_NO_ROW: none */
};

/* Static strings: "none", "bytes", "seconds", "cycles", "boolean". */
const char *umbra_kvm_stat_unit_name(enum umbra_kvm_stat_unit unit);
/* "cumulative", "instant", "peak", "linear_histogram", "log_histogram". */
const char *umbra_kvm_stat_type_name(enum umbra_kvm_stat_type type);

/*
 * The index in struct umbra_kvm_counters of what KVM calls @name (in debugfs too), or
 * UMBRA_KVM_STAT_NO_ROW.
 */
uint16_t umbra_kvm_stat_row(const char *name);

enum { UMBRA_KVM_OTHERS_MAX = 64 };

/*
 * The statistics without a row in kvm.def (histograms, and what a later KVM counts), vCPUs added
 * up, in KVM's unit. Plain bounded memory: what finds no place is counted.
 */
struct umbra_kvm_others {
	uint32_t nr, left_out;
	struct umbra_kvm_other {
		char name[UMBRA_KVM_STAT_NAME_MAX];
		uint64_t value; /* of a histogram all buckets together */
	} other[UMBRA_KVM_OTHERS_MAX];
};

struct umbra_kvm_stats;

/*
 * Reads what the descriptor says of itself. @fd stays the caller's and must be open as long as
 * *ret_stats, which is the caller's until umbra_kvm_stats_close(). -EBADMSG: not such a descriptor,
 * or one beyond any kernel's; -ENOMEM; what pread() says. Unknown types and units are left out.
 */
int umbra_kvm_stats_open(int fd, struct umbra_kvm_stats **ret_stats, struct umbra_error *ret_error);
/* @stats may be NULL. */
void umbra_kvm_stats_close(struct umbra_kvm_stats *stats);

/* Whose they are: "kvm-PID", "kvm-PID/vcpu-N". */
const char *umbra_kvm_stats_id(const struct umbra_kvm_stats *stats);
size_t umbra_kvm_stats_count(const struct umbra_kvm_stats *stats);
/* @number: below umbra_kvm_stats_count(). */
const struct umbra_kvm_stat *umbra_kvm_stats_at(const struct umbra_kvm_stats *stats, size_t number);
/* Its nr_values values, as they were last read. */
const uint64_t *umbra_kvm_stats_values(const struct umbra_kvm_stats *stats, size_t number);

/*
 * Reads all values with one pread(). 0, or a negative errno (-ENODATA: the file ends before them);
 * the values are then those of the read before.
 */
int umbra_kvm_stats_read(struct umbra_kvm_stats *stats);
/*
 * The same from @fd: another descriptor of the same kind (VM or vCPU) and the same KVM, of which
 * all describe themselves alike. So one can be borrowed for a moment: while it is open it keeps its
 * VM from being destroyed.
 */
int umbra_kvm_stats_read_from(struct umbra_kvm_stats *stats, int fd);

/*
 * Adds what was last read to *sum, in the units of kvm.def (a peak: the larger one stays), and to
 * *known which of it there is. @others may be NULL. For a VM: begin with zeros, add the VM's and
 * those of each vCPU.
 */
void umbra_kvm_stats_add(const struct umbra_kvm_stats *stats, struct umbra_kvm_counters *sum,
			 struct umbra_known *known, struct umbra_kvm_others *others);

#endif
