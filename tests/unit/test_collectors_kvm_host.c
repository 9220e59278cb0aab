/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a host's KVM is, by what stands in /sys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/kvm_host.h"

static char sys[64];
static struct kvm_host host;

static int set_up(void **state)
{
	strcpy(sys, "/tmp/umbra-test-XXXXXX");
	return mkdtemp(sys) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", sys);
	return system(command);
}

static void put(const char *path, const char *text)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "mkdir -p $(dirname %s/%s) && printf '%%s\\n' '%s' >%s/%s", sys, path, text, sys,
		 path);
	assert_int_equal(system(command), 0);
}

static void read_it(void)
{
	kvm_host_read(sys, &host);
}

static void without_kvm_there_is_no_mode_and_it_says_so(void **state)
{
	read_it();
	assert_false(host.available);
	assert_int_equal(host.mode, UMBRA_MODE_COUNT);
	assert_non_null(strstr(host.reason, "/dev/kvm"));
	assert_string_equal(host.transparent_hugepage, "");
	assert_int_equal(host.nr_hugetlb, 0);
}

static void the_modules_parameter_says_the_mode(void **state)
{
	static const struct {
		const char *path, *value, *parameter;
		enum umbra_mode mode;
	} rows[] = {
		{"module/kvm_intel/parameters/ept", "Y", "kvm_intel.ept=Y", UMBRA_MODE_EPT},
		{"module/kvm_intel/parameters/ept", "N", "kvm_intel.ept=N", UMBRA_MODE_SHADOW},
		{"module/kvm_amd/parameters/npt", "Y", "kvm_amd.npt=Y", UMBRA_MODE_EPT},
		{"module/kvm_amd/parameters/npt", "0", "kvm_amd.npt=0", UMBRA_MODE_SHADOW},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_up(state);
		put("class/misc/kvm/dev", "10:232");
		put(rows[i].path, rows[i].value);
		read_it();
		assert_true(host.available);
		assert_string_equal(host.parameter, rows[i].parameter);
		assert_int_equal(host.mode, rows[i].mode);
		assert_non_null(strstr(host.reason, rows[i].parameter));
		tear_down(state);
	}
	set_up(state);
}

static void of_two_modules_that_are_built_in_the_processors_counts(void **state)
{
	put("class/misc/kvm/dev", "10:232");
	put("module/kvm_intel/parameters/ept", "N");
	put("module/kvm_amd/parameters/npt", "Y");
	put("devices/system/cpu/modalias",
	    "cpu:type:x86,ven0002fam0019mod0001:feature:,0000,00C2,");
	read_it();
	assert_string_equal(host.module, "kvm_amd");
	assert_int_equal(host.mode, UMBRA_MODE_EPT);
	put("devices/system/cpu/modalias",
	    "cpu:type:x86,ven0000fam0006mod0055:feature:,0000,0085,");
	read_it();
	assert_string_equal(host.module, "kvm_intel");
	assert_int_equal(host.mode, UMBRA_MODE_SHADOW);
}

static void a_parameter_that_cannot_be_read_leaves_the_mode_unknown(void **state)
{
	put("class/misc/kvm/dev", "10:232");
	put("module/kvm_intel/uevent", "");
	read_it();
	assert_int_equal(host.mode, UMBRA_MODE_COUNT);
	assert_non_null(strstr(host.reason, "module/kvm_intel/parameters/ept"));
}

static void kvm_without_hardware_virtualization_has_shadow_paging(void **state)
{
	put("class/misc/kvm/dev", "10:232");
	read_it();
	assert_int_equal(host.mode, UMBRA_MODE_SHADOW);
	assert_string_equal(host.module, "");
	assert_non_null(strstr(host.reason, "without hardware virtualization"));
}

static void what_backs_memory_is_told_as_the_kernel_says_it(void **state)
{
	put("kernel/mm/transparent_hugepage/enabled", "always [madvise] never");
	put("kernel/security/lockdown", "none [integrity] confidentiality");
	put("module/kvm/parameters/nx_huge_pages", "Y");
	put("kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512");
	put("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "12");
	put("kernel/mm/hugepages/nonsense", "12");
	read_it();
	assert_string_equal(host.transparent_hugepage, "madvise");
	assert_string_equal(host.lockdown, "integrity");
	assert_string_equal(host.nx_huge_pages, "Y");
	assert_int_equal(host.nr_hugetlb, 1);
	assert_int_equal(host.hugetlb[0].page_bytes, 2 << 20);
	assert_int_equal(host.hugetlb[0].pages, 512);
	assert_int_equal(host.hugetlb[0].free, 12);
}

#define IN_SYS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SYS(without_kvm_there_is_no_mode_and_it_says_so),
		IN_SYS(the_modules_parameter_says_the_mode),
		IN_SYS(of_two_modules_that_are_built_in_the_processors_counts),
		IN_SYS(a_parameter_that_cannot_be_read_leaves_the_mode_unknown),
		IN_SYS(kvm_without_hardware_virtualization_has_shadow_paging),
		IN_SYS(what_backs_memory_is_told_as_the_kernel_says_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
