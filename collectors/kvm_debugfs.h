/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's statistics in debugfs: a folder a VM, a file a statistic, those of vCPUs added up. A file
 * can be read once after it was opened, and an open one keeps its VM from being destroyed: so each
 * is opened, read and closed each time.
 */
#ifndef COLLECTORS_KVM_DEBUGFS_H
#define COLLECTORS_KVM_DEBUGFS_H

#include <stdbool.h>
#include <sys/types.h>

#include "collectors/sample.h"

struct kvm_debugfs_file {
	char name[UMBRA_KVM_STAT_NAME_MAX];
	uint16_t row;    /* in struct umbra_kvm_counters, or UMBRA_KVM_STAT_NO_ROW */
	bool cumulative; /* may be set to zero, so lockdown closes it */
	bool slow;       /* of little use: read seldom */
};

/* Begins zeroed. */
struct kvm_debugfs {
	struct kvm_debugfs_file *files;
	size_t nr;
	ino_t folder;      /* which the files are of */
	int no_folder;     /* why there is nothing to be read: a positive errno */
	int no_cumulative; /* why most files cannot be read: a positive errno */
};

/* What one VM's statistics go to. */
struct kvm_figures {
	struct umbra_kvm_counters kvm;
	struct umbra_known known;
	struct umbra_kvm_other other[KVM_OTHER_MAX];
	size_t nr_other;
};

/* Whether such files (UMBRA_KVM_STAT_NO_ROW: without a row) are read seldom. */
bool kvm_debugfs_is_slow(uint16_t row);
/* Finds out what there is and what may be read. @sys: the root of sysfs. */
void kvm_debugfs_probe(struct kvm_debugfs *debugfs, const char *sys);
void kvm_debugfs_free(struct kvm_debugfs *debugfs);
/*
 * Adds what *figures does not have yet from the VM's folder @folder (may be O_PATH), slow files
 * only if @all. How many figures were added; 0 if the VM is gone.
 */
size_t kvm_debugfs_read(const struct kvm_debugfs *debugfs, int folder, bool all,
			struct kvm_figures *figures);
/* A statistic without a row; of the same name the first one stays. */
void kvm_figures_add_other(struct kvm_figures *figures, const char *name, uint64_t value);
bool kvm_figures_has_other(const struct kvm_figures *figures, const char *name);

#endif
