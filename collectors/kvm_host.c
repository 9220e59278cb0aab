/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/host_file.h"
#include "collectors/kvm_host.h"

/* The modules that need the processor's own virtualization, and what makes them nested. */
static const struct vendor {
	const char *module, *parameter;
	const char *feature; /* of the processor, as its modalias has it: VMX, SVM */
} vendors[] = {
	{"kvm_intel", "ept", ",0085,"},
	{"kvm_amd", "npt", ",00C2,"},
};

enum { VENDOR_COUNT = sizeof(vendors) / sizeof(vendors[0]), LINE_MAX_BYTES = 4096 };

/*
 * Both modules are there where both are built in; only one of them found its processor. NULL: none
 * is there.
 */
static const struct vendor *find_vendor(const char *sys)
{
	const struct vendor *found = NULL;
	char modalias[LINE_MAX_BYTES], path[64];
	size_t nr = 0;

	host_read_line(sys, "devices/system/cpu/modalias", modalias, sizeof(modalias));
	for (size_t i = 0; i < VENDOR_COUNT; i++) {
		snprintf(path, sizeof(path), "module/%s", vendors[i].module);
		if (!host_file_exists(sys, path))
			continue;
		if (!nr++ || strstr(modalias, vendors[i].feature))
			found = &vendors[i];
	}
	return found;
}

static void read_mode(const char *sys, const struct vendor *vendor, struct kvm_host *ret)
{
	char path[64], value[16];
	bool nested;

	snprintf(ret->module, sizeof(ret->module), "%s", vendor->module);
	snprintf(path, sizeof(path), "module/%s/parameters/%s", vendor->module, vendor->parameter);
	if (!host_read_line(sys, path, value, sizeof(value))) {
		snprintf(ret->reason, sizeof(ret->reason), "%s/%s cannot be read", sys, path);
		return;
	}
	nested = *value == 'Y' || *value == '1';
	ret->mode = nested ? UMBRA_MODE_EPT : UMBRA_MODE_SHADOW;
	snprintf(ret->parameter, sizeof(ret->parameter), "%s.%s=%s", vendor->module,
		 vendor->parameter, value);
	snprintf(ret->reason, sizeof(ret->reason),
		 "%s: a parameter of the module that holds for every VM of this host and changes "
		 "only when the module is loaded anew",
		 ret->parameter);
}

static void read_hugetlb(const char *sys, struct kvm_host *ret)
{
	static const char prefix[] = "hugepages-";
	char path[PATH_MAX], value[32];
	const struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/kernel/mm/hugepages", sys);
	directory = opendir(path);
	while (directory && (entry = readdir(directory)) &&
	       ret->nr_hugetlb < KVM_HOST_HUGETLB_MAX) {
		struct kvm_host_hugetlb *pool = &ret->hugetlb[ret->nr_hugetlb];

		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		pool->page_bytes = strtoull(entry->d_name + strlen(prefix), NULL, 10) << 10;
		snprintf(path, sizeof(path), "kernel/mm/hugepages/%.64s/nr_hugepages",
			 entry->d_name);
		if (!pool->page_bytes || !host_read_line(sys, path, value, sizeof(value)))
			continue;
		pool->pages = strtoull(value, NULL, 10);
		snprintf(path, sizeof(path), "kernel/mm/hugepages/%.64s/free_hugepages",
			 entry->d_name);
		if (!host_read_line(sys, path, value, sizeof(value)))
			continue;
		pool->free = strtoull(value, NULL, 10);
		ret->nr_hugetlb++;
	}
	if (directory)
		closedir(directory);
}

void kvm_host_read(const char *sys, struct kvm_host *ret)
{
	const struct vendor *vendor = find_vendor(sys);

	*ret = (struct kvm_host){.mode = UMBRA_MODE_COUNT};
	ret->available = host_file_exists(sys, "class/misc/kvm");
	if (!ret->available) {
		snprintf(ret->reason, sizeof(ret->reason),
			 "the kernel has no /dev/kvm: its modules are not loaded, or found no "
			 "hardware virtualization");
	} else if (vendor) {
		read_mode(sys, vendor, ret);
	} else {
		ret->mode = UMBRA_MODE_SHADOW;
		snprintf(ret->reason, sizeof(ret->reason),
			 "a KVM without hardware virtualization: shadow paging is all that it has, "
			 "and it runs guests at speed at CPL 3 only");
	}
	host_read_choice(sys, "kernel/mm/transparent_hugepage/enabled", ret->transparent_hugepage,
			 sizeof(ret->transparent_hugepage));
	host_read_choice(sys, "kernel/security/lockdown", ret->lockdown, sizeof(ret->lockdown));
	host_read_line(sys, "module/kvm/parameters/nx_huge_pages", ret->nx_huge_pages,
		       sizeof(ret->nx_huge_pages));
	read_hugetlb(sys, ret);
}
