/* SPDX-License-Identifier: GPL-2.0-or-later */
/* KVM's statistics of a VM from a fake debugfs, and what is said where there is none. */
#define _GNU_SOURCE /* nftw() */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/collector.h"

enum { ROUNDS_A_TURN = 8 };

static char root[64], proc[80], sys[80];
static struct collector_settings settings;
static void *kvm;
static struct vm vm;
static struct vm_vcpu vcpus[2] = {{.id = 0}, {.id = 1}};
static struct vm_sample sample;

static void make_folder(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

/* In KVM's own folder and in the VM's. */
static void make_file(const char *name, mode_t mode, const char *text)
{
	static const char *const folders[] = {"", "100-5/"};
	char path[256];

	for (size_t i = 0; i < 2; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/kernel/debug/kvm/%s%s", sys, folders[i], name);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
		close(fd);
		assert_int_equal(chmod(path, mode), 0);
	}
}

static int delete_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	return remove(path);
}

static void delete_tree(const char *base, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	nftw(path, delete_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_vm(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/kernel/debug/kvm/100-5", sys);
	vm = (struct vm){
		.number = 1,
		.pid = 100,
		.fd = 5,
		.pidfd = -1,
		.folder = open(path, O_PATH | O_DIRECTORY),
		.vcpus = vcpus,
		.nr_vcpus = 2,
	};
}

static void take_sample(void)
{
	memset(&sample, 0, sizeof(sample));
	kvm_collector.begin(kvm, 0);
	kvm_collector.sample(kvm, &vm, &sample);
}

/* The value of the number at @index; fails if it is not known. */
static uint64_t known(size_t index)
{
	assert_true(umbra_known_has(&sample.kvm_known, index));
	return ((uint64_t *)&sample.kvm)[index];
}

#define INDEX(name, element) UMBRA_INDEX(struct umbra_kvm_counters, kvm_##name, element)

static void assert_state(const char *wanted)
{
	char text[COLLECTOR_STATE_MAX];

	kvm_collector.state(kvm, text);
	assert_string_equal(text, wanted);
}

static int begin(void **state)
{
	snprintf(root, sizeof(root), "/tmp/umbra-kvm-stats-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(proc, sizeof(proc), "%s/proc", root);
	snprintf(sys, sizeof(sys), "%s/sys", root);
	make_folder("proc");
	make_folder("sys");
	make_folder("sys/devices");
	make_folder("sys/devices/virtual");
	make_folder("sys/devices/virtual/misc");
	make_folder("sys/devices/virtual/misc/kvm");
	make_folder("sys/kernel");
	make_folder("sys/kernel/debug");
	make_folder("sys/kernel/debug/kvm");
	make_folder("sys/kernel/debug/kvm/100-5");
	make_folder("sys/kernel/debug/kvm/100-5/vcpu0");
	make_file("exits", 0644, "12\n");
	make_file("nested_run", 0644, "3\n");
	make_file("pages_2m", 0444, "18446744073709551615\n");
	make_file("halt_wait_hist", 0644, "5\n");
	make_file("of_a_later_kernel", 0644, "4\n");
	settings.roots = (struct collector_roots){proc, sys};
	kvm = kvm_collector.create(&settings);
	open_vm();
	kvm_collector.update(kvm, &vm);
	return kvm ? 0 : -1;
}

static int end(void **state)
{
	kvm_collector.remove(kvm, &vm);
	kvm_collector.destroy(kvm);
	close(vm.folder);
	delete_tree(root, ".");
	return rmdir(root);
}

static void debugfs_has_each_statistic_but_histograms(void **state)
{
	take_sample();
	assert_int_equal(known(INDEX(exits, 0)), 12);
	assert_int_equal(known(INDEX(nested_run, 0)), 3);
	assert_int_equal(known(INDEX(pages, UMBRA_PAGE_2m)), UINT64_MAX);
	assert_false(umbra_known_has(&sample.kvm_known, INDEX(pages, UMBRA_PAGE_4k)));
	assert_false(umbra_known_has(&sample.kvm_known, INDEX(io_exits, 0)));
	assert_int_equal(sample.nr_kvm_other, 1);
	assert_string_equal(sample.kvm_other[0].name, "of_a_later_kernel");
	assert_int_equal(sample.kvm_other[0].value, 4);
	assert_state("ok");
}

static void what_tells_little_is_read_in_one_round_of_eight(void **state)
{
	int rounds = 0;

	take_sample();
	make_file("exits", 0644, "13\n");
	make_file("nested_run", 0644, "4\n");
	make_file("of_a_later_kernel", 0644, "5\n");
	do {
		take_sample();
		assert_int_equal(known(INDEX(exits, 0)), 13);
		assert_int_equal(sample.nr_kvm_other, 1);
		assert_int_equal(sample.kvm_other[0].value, known(INDEX(nested_run, 0)) + 1);
		rounds++;
	} while (known(INDEX(nested_run, 0)) == 3 && rounds < 2 * ROUNDS_A_TURN);
	assert_int_equal(known(INDEX(nested_run, 0)), 4);
	assert_in_range(rounds, 1, ROUNDS_A_TURN);
}

static void what_is_no_number_is_not_known(void **state)
{
	static const char *const texts[] = {"",     "\n",    "x\n",
					    "-1\n", "1 2\n", "18446744073709551616\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		make_file("exits", 0644, texts[i]);
		take_sample();
		assert_false(umbra_known_has(&sample.kvm_known, INDEX(exits, 0)));
		assert_true(umbra_known_has(&sample.kvm_known, INDEX(pages, UMBRA_PAGE_2m)));
	}
}

static void a_vm_that_is_gone_has_no_figures_that_are_read_in_each_round(void **state)
{
	take_sample();
	assert_int_equal(known(INDEX(exits, 0)), 12);
	delete_tree(sys, "kernel/debug/kvm/100-5");
	take_sample();
	assert_false(umbra_known_has(&sample.kvm_known, INDEX(exits, 0)));
	for (int i = 0; i < ROUNDS_A_TURN; i++)
		take_sample();
	assert_int_equal(sample.nr_kvm_other, 0);
	assert_false(umbra_known_has(&sample.kvm_known, INDEX(nested_run, 0)));
}

static size_t count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	size_t nr = 0;

	while (readdir(folder))
		nr++;
	closedir(folder);
	return nr;
}

/* What is there is closed, but by a thread of its own: that may take as long as the owner likes. */
static void where_another_file_was_borrowed_once_nothing_is_again(void **state)
{
	size_t before;
	char path[128], text[COLLECTOR_STATE_MAX];
	int pipe_fds[2];

	assert_int_equal(pipe(pipe_fds), 0);
	delete_tree(sys, "kernel/debug");
	make_folder("proc/100");
	make_folder("proc/100/fd");
	snprintf(path, sizeof(path), "%s/100/fd/%d", proc, pipe_fds[0]);
	assert_int_equal(symlink("anon_inode:kvm-vcpu-stats:0", path), 0);
	vm.pidfd = pidfd_open(getpid(), 0);
	before = count_descriptors();
	for (int i = 0; i < 2; i++) {
		take_sample();
		kvm_collector.state(kvm, text);
		assert_non_null(strstr(text, "; an owner put another file in the place of "));
		for (int j = 0; j < 10000 && count_descriptors() > before; j++)
			usleep(1000);
		assert_int_equal(count_descriptors(), before);
	}
	close(vm.pidfd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void the_state_says_what_is_missing(void **state)
{
	char wanted[COLLECTOR_STATE_MAX];

	delete_tree(sys, "kernel/debug");
	kvm_collector.begin(kvm, 0);
	snprintf(wanted, sizeof(wanted),
		 "degraded: %s/kernel/debug/kvm: missing, is debugfs mounted?: there is only what "
		 "owners of VMs keep open",
		 sys);
	assert_state(wanted);
	take_sample();
	assert_memory_equal(&sample.kvm_known, &(struct umbra_known){0},
			    sizeof(struct umbra_known));
	snprintf(
		wanted, sizeof(wanted),
		"denied: of 1 VMs 1 without statistics of vCPUs, 1 of the VM: %s/kernel/debug/kvm: "
		"missing, is debugfs mounted?; their owners keep no statistics descriptors open",
		sys);
	assert_state(wanted);
	kvm_collector.remove(kvm, &vm);
	delete_tree(sys, "devices");
	kvm_collector.begin(kvm, 0);
	snprintf(wanted, sizeof(wanted),
		 "unsupported: %s/devices/virtual/misc/kvm: KVM is not loaded", sys);
	assert_state(wanted);
}

static void when_kvm_is_loaded_anew_its_files_are_listed_anew(void **state)
{
	take_sample();
	close(vm.folder);
	delete_tree(sys, "kernel/debug/kvm");
	make_folder("new"); /* has the inode of the old one, if it is used again */
	make_folder("sys/kernel/debug/kvm");
	make_folder("sys/kernel/debug/kvm/100-5");
	make_file("invlpg", 0644, "7\n");
	kvm_collector.remove(kvm, &vm);
	open_vm();
	kvm_collector.update(kvm, &vm);
	take_sample();
	assert_int_equal(known(INDEX(invlpg, 0)), 7);
	assert_false(umbra_known_has(&sample.kvm_known, INDEX(exits, 0)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(debugfs_has_each_statistic_but_histograms),
		TEST(what_tells_little_is_read_in_one_round_of_eight),
		TEST(what_is_no_number_is_not_known),
		TEST(a_vm_that_is_gone_has_no_figures_that_are_read_in_each_round),
		TEST(where_another_file_was_borrowed_once_nothing_is_again),
		TEST(the_state_says_what_is_missing),
		TEST(when_kvm_is_loaded_anew_its_files_are_listed_anew),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
