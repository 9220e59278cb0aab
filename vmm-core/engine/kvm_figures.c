/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What KVM counts of a guest of its own. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/kvm.h"

_Static_assert(sizeof(struct umbra_kvm_figures) % sizeof(uint64_t) == 0, "copied by words");

static int open_one(int fd, int *ret_fd, struct umbra_kvm_stats **ret_stats,
		    struct umbra_error *ret_error)
{
	*ret_fd = ioctl(fd, KVM_GET_STATS_FD, NULL);
	/* Kernels before 5.14 have none. */
	if (*ret_fd < 0)
		return 0;
	return umbra_kvm_stats_open(*ret_fd, ret_stats, ret_error);
}

int kvm_open_figures(struct umbra_guest *guest, struct umbra_error *ret_error)
{
	struct kvm_guest *kvm = guest->kvm;
	int error = open_one(kvm->fd, &kvm->stats_fd, &kvm->stats, ret_error);

	for (unsigned i = 0; i < guest->nr_cpus && !error; i++)
		error = open_one(kvm->vcpu[i].fd, &kvm->vcpu[i].stats_fd, &kvm->vcpu[i].stats,
				 ret_error);
	return error;
}

static void close_one(int fd, struct umbra_kvm_stats *stats)
{
	umbra_kvm_stats_close(stats);
	if (fd >= 0)
		close(fd);
}

void kvm_close_figures(struct kvm_guest *kvm)
{
	close_one(kvm->stats_fd, kvm->stats);
	for (unsigned i = 0; i < UMBRA_MAX_CPUS; i++)
		close_one(kvm->vcpu[i].stats_fd, kvm->vcpu[i].stats);
}

static void add_one(struct umbra_kvm_stats *stats, struct umbra_kvm_figures *figures)
{
	if (stats && !umbra_kvm_stats_read(stats))
		umbra_kvm_stats_add(stats, &figures->counters, &figures->known, &figures->others);
}

void kvm_collect_figures(struct umbra_guest *guest)
{
	struct kvm_guest *kvm = guest->kvm;

	guest->counters.time[0] = kvm_time(guest);
	umbra_counters_publish(guest->published, &guest->counters);
	memset(&kvm->figures, 0, sizeof(kvm->figures));
	add_one(kvm->stats, &kvm->figures);
	for (unsigned i = 0; i < guest->nr_cpus; i++)
		add_one(kvm->vcpu[i].stats, &kvm->figures);
	if (kvm->published)
		umbra_kvm_figures_publish(kvm->published, &kvm->figures);
}

void umbra_kvm_figures_publish(struct umbra_kvm_figures *shared,
			       const struct umbra_kvm_figures *from)
{
	const uint64_t *source = (const uint64_t *)from;
	uint64_t *words = (uint64_t *)shared;

	for (size_t i = 0; i < sizeof(*from) / sizeof(*source); i++)
		__atomic_store_n(&words[i], source[i], __ATOMIC_RELAXED);
}

/* As the reader of statistics has them. */
static bool is_name(const char name[UMBRA_KVM_STAT_NAME_MAX])
{
	size_t length = strnlen(name, UMBRA_KVM_STAT_NAME_MAX);

	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	}
	return length && length < UMBRA_KVM_STAT_NAME_MAX;
}

void umbra_kvm_figures_read(const struct umbra_kvm_figures *shared, struct umbra_kvm_figures *ret)
{
	const uint64_t *words = (const uint64_t *)shared;
	uint64_t *to = (uint64_t *)ret;
	struct umbra_kvm_others *others = &ret->others;

	for (size_t i = 0; i < sizeof(*ret) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
	if (others->nr > UMBRA_KVM_OTHERS_MAX)
		others->nr = 0;
	for (uint32_t i = 0; i < others->nr; i++) {
		if (!is_name(others->other[i].name))
			others->nr = i;
	}
}
