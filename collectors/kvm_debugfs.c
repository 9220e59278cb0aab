/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collectors/kvm_debugfs.h"
#include "umbra/kvm_stats.h"

/*
 * What a policy takes, and what tells most of what a VM does: 200 VMs with all of it would take
 * 25 ms a round.
 */
static const uint16_t fast[] = {
#define ROW(name, element) UMBRA_INDEX(struct umbra_kvm_counters, kvm_##name, element)
	ROW(exits, 0),
	ROW(io_exits, 0),
	ROW(mmio_exits, 0),
	ROW(irq_exits, 0),
	ROW(halt_exits, 0),
	ROW(pf_taken, 0),
	ROW(pf_fixed, 0),
	ROW(pf_emulate, 0),
	ROW(pf_guest, 0),
	ROW(invlpg, 0),
	ROW(tlb_flush, 0),
	ROW(insn_emulation, 0),
	ROW(remote_tlb_flush, 0),
	ROW(mmu_pte_write, 0),
	ROW(mmu_shadow_zapped, 0),
	ROW(mmu_unsync, 0),
	ROW(pages, UMBRA_PAGE_4k),
	ROW(pages, UMBRA_PAGE_2m),
	ROW(pages, UMBRA_PAGE_1g),
	ROW(nx_lpage_splits, 0),
#undef ROW
};

bool kvm_debugfs_is_slow(uint16_t row)
{
	for (size_t i = 0; i < sizeof(fast) / sizeof(fast[0]); i++) {
		if (fast[i] == row)
			return false;
	}
	return true;
}

/*
 * A histogram's file has its first bucket alone (KVM adds up one number of each vCPU), which says
 * nothing.
 */
static bool is_histogram(const char *name)
{
	static const char suffix[] = "_hist";
	size_t length = strlen(name);

	return length > strlen(suffix) && !strcmp(name + length - strlen(suffix), suffix);
}

/* KVM's own folder has a file for each statistic, over all VMs; each VM's has the same. */
static void list_files(struct kvm_debugfs *debugfs, DIR *folder)
{
	struct kvm_debugfs_file *files;
	struct dirent *entry;
	struct stat status;

	debugfs->nr = 0;
	while ((entry = readdir(folder))) {
		if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(status.st_mode) || strlen(entry->d_name) >= UMBRA_KVM_STAT_NAME_MAX ||
		    is_histogram(entry->d_name))
			continue;
		files = realloc(debugfs->files, (debugfs->nr + 1) * sizeof(*files));
		if (!files)
			return;
		debugfs->files = files;
		files += debugfs->nr++;
		snprintf(files->name, sizeof(files->name), "%s", entry->d_name);
		files->row = umbra_kvm_stat_row(files->name);
		files->cumulative = (status.st_mode & S_IWUSR) != 0;
		files->slow = kvm_debugfs_is_slow(files->row);
	}
}

/* 0: such a file can be opened, or there is none; else a positive errno. */
static int probe_files(const struct kvm_debugfs *debugfs, int folder, bool cumulative)
{
	for (size_t i = 0; i < debugfs->nr; i++) {
		int fd;

		if (debugfs->files[i].cumulative != cumulative)
			continue;
		fd = openat(folder, debugfs->files[i].name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return errno;
		close(fd);
		return 0;
	}
	return 0;
}

void kvm_debugfs_probe(struct kvm_debugfs *debugfs, const char *sys)
{
	char path[PATH_MAX];
	struct stat status;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/kernel/debug/kvm", sys);
	folder = opendir(path);
	debugfs->no_folder = folder ? 0 : errno;
	if (!folder)
		return;
	/* Another folder: KVM was loaded anew, with other statistics maybe. */
	if (!fstat(dirfd(folder), &status) && (!debugfs->nr || status.st_ino != debugfs->folder)) {
		list_files(debugfs, folder);
		debugfs->folder = status.st_ino;
	}
	debugfs->no_folder = probe_files(debugfs, dirfd(folder), false);
	debugfs->no_cumulative = probe_files(debugfs, dirfd(folder), true);
	closedir(folder);
}

void kvm_debugfs_free(struct kvm_debugfs *debugfs)
{
	free(debugfs->files);
	*debugfs = (struct kvm_debugfs){0};
}

/* 0, or a negative errno. */
static int read_number(int folder, const char *name, uint64_t *ret)
{
	char text[32], *end;
	uint64_t value;
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	errno = 0;
	value = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || errno || (*end && *end != '\n'))
		return -EBADMSG;
	*ret = value;
	return 0;
}

bool kvm_figures_has_other(const struct kvm_figures *figures, const char *name)
{
	for (size_t i = 0; i < figures->nr_other; i++) {
		if (!strcmp(figures->other[i].name, name))
			return true;
	}
	return false;
}

void kvm_figures_add_other(struct kvm_figures *figures, const char *name, uint64_t value)
{
	if (figures->nr_other == KVM_OTHER_MAX || kvm_figures_has_other(figures, name))
		return;
	snprintf(figures->other[figures->nr_other].name, UMBRA_KVM_STAT_NAME_MAX, "%s", name);
	figures->other[figures->nr_other++].value = value;
}

size_t kvm_debugfs_read(const struct kvm_debugfs *debugfs, int folder, bool all,
			struct kvm_figures *figures)
{
	uint64_t *numbers = (uint64_t *)&figures->kvm, value = 0;
	size_t nr = 0;

	for (size_t i = 0; i < debugfs->nr; i++) {
		const struct kvm_debugfs_file *file = &debugfs->files[i];
		bool has_row = file->row != UMBRA_KVM_STAT_NO_ROW;

		if ((file->slow && !all) || (file->cumulative && debugfs->no_cumulative) ||
		    (has_row ? umbra_known_has(&figures->known, file->row)
			     : kvm_figures_has_other(figures, file->name)) ||
		    read_number(folder, file->name, &value))
			continue;
		if (has_row) {
			numbers[file->row] = value;
			umbra_known_add(&figures->known, file->row);
		} else {
			kvm_figures_add_other(figures, file->name, value);
		}
		nr++;
	}
	return nr;
}
