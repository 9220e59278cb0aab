/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Statistics descriptors as KVM makes them, and as somebody hostile would. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "umbra/kvm_stats.h"

#define NAME_SIZE   48
#define ID_OFFSET   24
#define DESC_OFFSET (ID_OFFSET + NAME_SIZE)
#define DATA_OFFSET 8192

struct line {
	const char *name;
	uint32_t flags;
	int16_t exponent;
	uint16_t size;
	uint32_t bucket;
	uint64_t value[40]; /* size of them */
};

static int fd;
static struct umbra_kvm_stats *stats;

static int set_up(void **state)
{
	fd = memfd_create("stats", MFD_CLOEXEC);
	stats = NULL;
	return fd < 0;
}

static int tear_down(void **state)
{
	umbra_kvm_stats_close(stats);
	return close(fd);
}

static void put(const void *bytes, size_t size, off_t offset)
{
	assert_int_equal(pwrite(fd, bytes, size, offset), size);
}

static struct kvm_stats_header header_of(unsigned nr)
{
	return (struct kvm_stats_header){.name_size = NAME_SIZE,
					 .num_desc = nr,
					 .id_offset = ID_OFFSET,
					 .desc_offset = DESC_OFFSET,
					 .data_offset = DATA_OFFSET};
}

static off_t descriptor_at(unsigned number)
{
	return DESC_OFFSET + (off_t)number * (sizeof(struct kvm_stats_desc) + NAME_SIZE);
}

/* The file that KVM would make of these statistics. */
static void make(const struct line *lines, unsigned nr)
{
	struct kvm_stats_header header = header_of(nr);
	char id[NAME_SIZE] = "kvm-77/vcpu-3";
	uint32_t offset = 0;

	put(&header, sizeof(header), 0);
	put(id, sizeof(id), ID_OFFSET);
	for (unsigned i = 0; i < nr; i++) {
		struct kvm_stats_desc descriptor = {.flags = lines[i].flags,
						    .exponent = lines[i].exponent,
						    .size = lines[i].size,
						    .offset = offset,
						    .bucket_size = lines[i].bucket};
		char name[NAME_SIZE] = "";

		memcpy(name, lines[i].name, strlen(lines[i].name));
		put(&descriptor, sizeof(descriptor), descriptor_at(i));
		put(name, sizeof(name), descriptor_at(i) + (off_t)sizeof(descriptor));
		put(lines[i].value, lines[i].size * sizeof(uint64_t), DATA_OFFSET + (off_t)offset);
		offset += lines[i].size * sizeof(uint64_t);
	}
}

#define CUMULATIVE KVM_STATS_TYPE_CUMULATIVE
#define INSTANT    KVM_STATS_TYPE_INSTANT
#define PEAK       KVM_STATS_TYPE_PEAK
#define SECONDS    KVM_STATS_UNIT_SECONDS

static const struct line ordinary[] = {
	{"exits", CUMULATIVE, 0, 1, 0, {1000}},
	{"pages_2m", INSTANT, 0, 1, 0, {7}},
	{"max_mmu_rmap_size", PEAK, 0, 1, 0, {9}},
	{"halt_wait_ns", CUMULATIVE | SECONDS, -9, 1, 0, {123456789}},
	{"blocking", INSTANT | KVM_STATS_UNIT_BOOLEAN, 0, 1, 0, {1}},
};

static const uint64_t *numbers(const struct umbra_kvm_counters *counters)
{
	return (const uint64_t *)counters;
}

static unsigned nr_known(const struct umbra_known *known)
{
	unsigned nr = 0;

	for (size_t i = 0; i < UMBRA_KNOWN_MAX; i++)
		nr += umbra_known_has(known, i);
	return nr;
}

static void statistics_find_their_rows_and_what_is_not_there_is_not_known(void **state)
{
	struct umbra_kvm_counters sum = {0};
	struct umbra_known known = {0};
	struct umbra_kvm_others others = {0};

	make(ordinary, 5);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
	assert_string_equal(umbra_kvm_stats_id(stats), "kvm-77/vcpu-3");
	assert_int_equal(umbra_kvm_stats_count(stats), 5);
	assert_int_equal(umbra_kvm_stats_read(stats), 0);
	umbra_kvm_stats_add(stats, &sum, &known, &others);
	assert_int_equal(sum.kvm_exits[0], 1000);
	assert_int_equal(sum.kvm_pages[UMBRA_PAGE_2m], 7);
	assert_int_equal(sum.kvm_max_mmu_rmap_size[0], 9);
	assert_int_equal(sum.kvm_halt_wait_ns[0], 123456789);
	assert_int_equal(sum.kvm_blocking[0], 1);
	assert_int_equal(nr_known(&known), 5);
	assert_true(umbra_known_has(
		&known, UMBRA_INDEX(struct umbra_kvm_counters, kvm_pages, UMBRA_PAGE_2m)));
	assert_false(umbra_known_has(
		&known, UMBRA_INDEX(struct umbra_kvm_counters, kvm_pages, UMBRA_PAGE_4k)));
	assert_int_equal(others.nr, 0);
}

static void vcpus_are_added_up_and_of_peaks_the_largest_stays(void **state)
{
	struct umbra_kvm_counters sum = {0};
	struct umbra_known known = {0};
	uint64_t peak = 4;

	make(ordinary, 5);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
	assert_int_equal(umbra_kvm_stats_read(stats), 0);
	umbra_kvm_stats_add(stats, &sum, &known, NULL);
	put(&peak, sizeof(peak), DATA_OFFSET + 2 * sizeof(peak));
	assert_int_equal(umbra_kvm_stats_read(stats), 0);
	umbra_kvm_stats_add(stats, &sum, &known, NULL);
	assert_int_equal(sum.kvm_exits[0], 2000);
	assert_int_equal(sum.kvm_max_mmu_rmap_size[0], 9);
}

static void a_read_leaves_the_offset_alone_for_it_may_be_shared(void **state)
{
	make(ordinary, 5);
	assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
	assert_int_equal(umbra_kvm_stats_read(stats), 0);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 5);
}

static void times_are_nanoseconds_whatever_their_base_and_exponent(void **state)
{
	static const struct {
		uint32_t base;
		int16_t exponent;
		uint64_t value, ns;
	} cases[] = {
		{KVM_STATS_BASE_POW10, -9, 5, 5},
		{KVM_STATS_BASE_POW10, -6, 5, 5000},
		{KVM_STATS_BASE_POW10, -12, 5999, 5},
		{KVM_STATS_BASE_POW10, 0, 2, 2000000000},
		{KVM_STATS_BASE_POW10, 3, UINT64_MAX, UINT64_MAX},
		{KVM_STATS_BASE_POW2, -10, 1024, 1000000000},
		{KVM_STATS_BASE_POW2, 1, 1, 2000000000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct line line = {
			"halt_wait_ns",  SECONDS | cases[i].base, cases[i].exponent, 1, 0,
			{cases[i].value}};
		struct umbra_kvm_counters sum = {0};
		struct umbra_known known = {0};

		make(&line, 1);
		umbra_kvm_stats_close(stats);
		assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
		assert_int_equal(umbra_kvm_stats_read(stats), 0);
		umbra_kvm_stats_add(stats, &sum, &known, NULL);
		assert_int_equal(sum.kvm_halt_wait_ns[0], cases[i].ns);
	}
}

static void a_known_name_in_another_unit_is_no_row(void **state)
{
	static const struct line lines[] = {
		{"exits", CUMULATIVE | KVM_STATS_UNIT_CYCLES, 0, 1, 0, {5}},
		{"halt_wait_ns", CUMULATIVE, 0, 1, 0, {5}},
		{"tlb_flush", KVM_STATS_TYPE_LINEAR_HIST, 0, 2, 100, {5, 6}},
	};
	struct umbra_kvm_counters sum = {0};
	struct umbra_known known = {0};
	struct umbra_kvm_others others = {0};

	make(lines, 3);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
	assert_int_equal(umbra_kvm_stats_read(stats), 0);
	umbra_kvm_stats_add(stats, &sum, &known, &others);
	assert_int_equal(nr_known(&known), 0);
	assert_int_equal(others.nr, 3);
	assert_int_equal(others.other[2].value, 11);
	assert_int_equal(umbra_kvm_stats_at(stats, 0)->unit, UMBRA_KVM_STAT_CYCLES);
	assert_string_equal(umbra_kvm_stat_unit_name(UMBRA_KVM_STAT_CYCLES), "cycles");
	assert_int_equal(umbra_kvm_stats_at(stats, 2)->type, UMBRA_KVM_STAT_LINEAR);
	assert_string_equal(umbra_kvm_stat_type_name(UMBRA_KVM_STAT_LINEAR), "linear_histogram");
	assert_int_equal(umbra_kvm_stats_at(stats, 2)->bucket, 100);
	assert_int_equal(umbra_kvm_stats_values(stats, 2)[1], 6);
}

static void unknown_statistics_and_histograms_are_carried_along(void **state)
{
	static const struct line lines[] = {
		{"halt_wait_hist", KVM_STATS_TYPE_LOG_HIST | SECONDS, -9, 3, 0, {1, 2, 3}},
		{"of_a_later_kernel",
		 INSTANT | KVM_STATS_UNIT_BYTES | KVM_STATS_BASE_POW2,
		 10,
		 1,
		 0,
		 {64}},
	};
	struct umbra_kvm_counters sum = {0};
	struct umbra_known known = {0};
	struct umbra_kvm_others others = {0};

	make(lines, 2);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
	assert_int_equal(umbra_kvm_stats_read(stats), 0);
	for (int vcpu = 0; vcpu < 2; vcpu++)
		umbra_kvm_stats_add(stats, &sum, &known, &others);
	assert_int_equal(nr_known(&known), 0);
	assert_int_equal(others.nr, 2);
	assert_string_equal(others.other[0].name, "halt_wait_hist");
	assert_int_equal(others.other[0].value, 12);
	assert_int_equal(umbra_kvm_stats_at(stats, 0)->type, UMBRA_KVM_STAT_LOG);
	assert_int_equal(umbra_kvm_stats_at(stats, 0)->nr_values, 3);
	assert_string_equal(others.other[1].name, "of_a_later_kernel");
	assert_int_equal(others.other[1].value, 128);
	assert_int_equal(umbra_kvm_stats_at(stats, 1)->unit, UMBRA_KVM_STAT_BYTES);
	assert_int_equal(umbra_kvm_stats_at(stats, 1)->base, 2);
	assert_int_equal(umbra_kvm_stats_at(stats, 1)->exponent, 10);
}

static void what_is_carried_along_is_bounded_and_what_is_left_out_is_counted(void **state)
{
	struct line lines[UMBRA_KVM_OTHERS_MAX + 3];
	char names[UMBRA_KVM_OTHERS_MAX + 3][16];
	struct umbra_kvm_counters sum = {0};
	struct umbra_known known = {0};
	struct umbra_kvm_others others = {0};

	for (size_t i = 0; i < UMBRA_KVM_OTHERS_MAX + 3; i++) {
		snprintf(names[i], sizeof(names[i]), "new_%zu", i);
		lines[i] = (struct line){names[i], KVM_STATS_TYPE_LOG_HIST, 0, 40, 0, {0}};
		for (int bucket = 0; bucket < 40; bucket++)
			lines[i].value[bucket] = 1;
	}
	make(lines, UMBRA_KVM_OTHERS_MAX + 3);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
	assert_int_equal(umbra_kvm_stats_read(stats), 0);
	umbra_kvm_stats_add(stats, &sum, &known, &others);
	assert_int_equal(others.nr, UMBRA_KVM_OTHERS_MAX);
	assert_int_equal(others.left_out, 3);
	assert_int_equal(others.other[0].value, 40);
}

static void kinds_that_a_later_kernel_may_have_are_left_out(void **state)
{
	static const struct line lines[] = {
		{"of_type_9", 9, 0, 1, 0, {1}},
		{"of_unit_9", 9 << KVM_STATS_UNIT_SHIFT, 0, 1, 0, {1}},
		{"of_base_5", 5 << KVM_STATS_BASE_SHIFT, 0, 1, 0, {1}},
		{"of_exponent_99", CUMULATIVE, 99, 1, 0, {1}},
		{"exits", CUMULATIVE, 0, 1, 0, {8}},
	};
	struct umbra_kvm_counters sum = {0};
	struct umbra_known known = {0};
	struct umbra_kvm_others others = {0};

	make(lines, 5);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
	assert_int_equal(umbra_kvm_stats_read(stats), 0);
	umbra_kvm_stats_add(stats, &sum, &known, &others);
	assert_int_equal(sum.kvm_exits[0], 8);
	assert_int_equal(others.nr, 0);
}

static void refused(const char *place)
{
	struct umbra_kvm_stats *none = NULL;
	struct umbra_error error;

	assert_int_equal(umbra_kvm_stats_open(fd, &none, &error), -EBADMSG);
	assert_string_equal(error.place, place);
	assert_null(none);
}

static void a_header_beyond_all_bounds_is_refused(void **state)
{
	struct kvm_stats_header good = header_of(5), bad;

	refused("its header");
	make(ordinary, 5);
#define TRY(field, bad_value, place)                                                               \
	bad = good;                                                                                \
	bad.field = bad_value;                                                                     \
	put(&bad, sizeof(bad), 0);                                                                 \
	refused(place)
	TRY(num_desc, 0, "its number of statistics");
	TRY(num_desc, UINT32_MAX, "its number of statistics");
	TRY(num_desc, 500, "its descriptors");
	TRY(name_size, 0, "its size of names");
	TRY(name_size, UINT32_MAX, "its size of names");
	TRY(id_offset, UINT32_MAX, "one of its offsets");
	TRY(id_offset, 1u << 20, "its name");
	TRY(desc_offset, UINT32_MAX, "one of its offsets");
	TRY(desc_offset, 1u << 20, "its descriptors");
	TRY(data_offset, UINT32_MAX, "one of its offsets");
#undef TRY
	put(&good, sizeof(good), 0);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
}

static void a_descriptor_beyond_all_bounds_is_refused(void **state)
{
	struct kvm_stats_desc bad;

	make(ordinary, 5);
#define TRY(field, bad_value, place)                                                               \
	bad = (struct kvm_stats_desc){.size = 1};                                                  \
	bad.field = bad_value;                                                                     \
	put(&bad, sizeof(bad), descriptor_at(1));                                                  \
	refused(place)
	TRY(size, 0, "the size of a statistic");
	TRY(size, UINT16_MAX, "the size of a statistic");
	TRY(offset, 4, "the offset of a statistic");
	TRY(offset, UINT32_MAX - 7, "the offset of a statistic");
	TRY(offset, 1u << 19, "the offset of a statistic");
#undef TRY
	make(ordinary, 5);
	put("two words", 9, descriptor_at(2) + (off_t)sizeof(bad));
	refused("the name of a statistic");
	put("\n", 2, descriptor_at(2) + (off_t)sizeof(bad));
	refused("the name of a statistic");
}

static void a_name_that_nothing_ends_ends_with_its_size(void **state)
{
	char name[NAME_SIZE], id[NAME_SIZE];

	memset(name, 'x', sizeof(name));
	memset(id, '\x1b', sizeof(id));
	make(ordinary, 5);
	put(name, sizeof(name), descriptor_at(1) + (off_t)sizeof(struct kvm_stats_desc));
	put(id, sizeof(id), ID_OFFSET);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
	/* It is too long for a name of KVM's: left out. */
	assert_int_equal(umbra_kvm_stats_count(stats), 4);
	assert_string_equal(umbra_kvm_stats_id(stats), "");
}

static void a_read_that_fails_leaves_the_values_of_the_one_before(void **state)
{
	struct umbra_kvm_counters sum = {0};
	struct umbra_known known = {0};

	make(ordinary, 5);
	assert_int_equal(umbra_kvm_stats_open(fd, &stats, NULL), 0);
	assert_int_equal(umbra_kvm_stats_read(stats), 0);
	assert_int_equal(ftruncate(fd, DATA_OFFSET + 12), 0);
	assert_int_equal(umbra_kvm_stats_read(stats), -ENODATA);
	umbra_kvm_stats_add(stats, &sum, &known, NULL);
	assert_int_equal(sum.kvm_exits[0], 1000);
	assert_int_equal(sum.kvm_blocking[0], 1);
}

static void what_is_no_file_is_refused_without_waiting(void **state)
{
	struct umbra_kvm_stats *none = NULL;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(umbra_kvm_stats_open(ends[0], &none, NULL), -ESPIPE);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(umbra_kvm_stats_open(ends[0], &none, NULL), -EBADF);
}

static void the_real_kvm_has_what_kvm_def_lists(void **state)
{
	struct umbra_kvm_counters sum = {0};
	struct umbra_known known = {0};
	struct umbra_kvm_others others = {0};
	struct umbra_kvm_stats *of_vm, *of_vcpu;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu, vm_fd, vcpu_fd;

	if (kvm < 0 || ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_BINARY_STATS_FD) <= 0) {
		print_message("# SKIP no KVM with statistics descriptors: %s\n", strerror(errno));
		skip();
	}
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	vm_fd = ioctl(vm, KVM_GET_STATS_FD, NULL);
	vcpu_fd = ioctl(vcpu, KVM_GET_STATS_FD, NULL);
	assert_true(vm_fd >= 0 && vcpu_fd >= 0);
	assert_int_equal(umbra_kvm_stats_open(vm_fd, &of_vm, NULL), 0);
	assert_int_equal(umbra_kvm_stats_open(vcpu_fd, &of_vcpu, NULL), 0);
	assert_int_equal(umbra_kvm_stats_read(of_vm), 0);
	assert_int_equal(umbra_kvm_stats_read(of_vcpu), 0);
	umbra_kvm_stats_add(of_vm, &sum, &known, &others);
	umbra_kvm_stats_add(of_vcpu, &sum, &known, &others);
	assert_true(umbra_known_has(&known, UMBRA_INDEX(struct umbra_kvm_counters, kvm_exits, 0)));
	assert_true(umbra_known_has(&known,
				    UMBRA_INDEX(struct umbra_kvm_counters, kvm_mmu_pte_write, 0)));
	assert_true(umbra_known_has(&known,
				    UMBRA_INDEX(struct umbra_kvm_counters, kvm_halt_wait_ns, 0)));
	assert_true(numbers(&sum)[UMBRA_INDEX(struct umbra_kvm_counters, kvm_exits, 0)] == 0);
	/* Histograms alone have no row, up to the kernels that this table was made for. */
	for (uint32_t i = 0; i < others.nr; i++) {
		print_message("# without a row: %s\n", others.other[i].name);
		assert_non_null(strstr(others.other[i].name, "_hist"));
	}
	assert_true(others.nr > 0);
	umbra_kvm_stats_close(of_vm);
	umbra_kvm_stats_close(of_vcpu);
	close(vcpu_fd);
	close(vm_fd);
	close(vcpu);
	close(vm);
	close(kvm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		TEST(statistics_find_their_rows_and_what_is_not_there_is_not_known),
		TEST(vcpus_are_added_up_and_of_peaks_the_largest_stays),
		TEST(a_read_leaves_the_offset_alone_for_it_may_be_shared),
		TEST(times_are_nanoseconds_whatever_their_base_and_exponent),
		TEST(a_known_name_in_another_unit_is_no_row),
		TEST(unknown_statistics_and_histograms_are_carried_along),
		TEST(what_is_carried_along_is_bounded_and_what_is_left_out_is_counted),
		TEST(kinds_that_a_later_kernel_may_have_are_left_out),
		TEST(a_header_beyond_all_bounds_is_refused),
		TEST(a_descriptor_beyond_all_bounds_is_refused),
		TEST(a_name_that_nothing_ends_ends_with_its_size),
		TEST(a_read_that_fails_leaves_the_values_of_the_one_before),
		TEST(what_is_no_file_is_refused_without_waiting),
		TEST(the_real_kvm_has_what_kvm_def_lists),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
