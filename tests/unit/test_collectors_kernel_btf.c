/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's types from its files, where KVM is a module and where it is built in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "collectors/kernel_btf.h"

/* A /sys/kernel/btf of its own. */
struct fixture {
	char sys[64];
};

static void write_btf(const struct fixture *fixture, const char *name, const struct btf *btf)
{
	char path[128];
	const void *data;
	__u32 size;
	FILE *file;

	data = btf__raw_data(btf, &size);
	assert_non_null(data);
	snprintf(path, sizeof(path), "%s/kernel/btf/%s", fixture->sys, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

/* The kernel: struct dentry with a struct in an anonymous union, as that of Linux 6.18. */
static struct btf *make_kernel(void)
{
	struct btf *btf = btf__new_empty();
	int number, text, qstr, either, pointer;

	assert_non_null(btf);
	number = btf__add_int(btf, "unsigned int", 4, 0);
	text = btf__add_ptr(btf, btf__add_const(btf, btf__add_int(btf, "char", 1, 0)));
	qstr = btf__add_struct(btf, "qstr", 16);
	btf__add_field(btf, "hash", number, 0, 0);
	btf__add_field(btf, "name", text, 64, 0);
	qstr = btf__add_typedef(btf, "qstr_t", qstr);
	either = btf__add_union(btf, NULL, 16);
	btf__add_field(btf, "d_name", qstr, 0, 0);
	pointer = btf__add_ptr(btf, 0);
	assert_true(btf__add_struct(btf, "dentry", 32) > 0);
	btf__add_field(btf, "d_flags", number, 0, 0);
	btf__add_field(btf, "", either, 64, 0);
	btf__add_field(btf, "d_inode", pointer, 192, 0);
	return btf;
}

/* struct kvm_vcpu and the tracepoint kvm_exit, with @first as its first argument. */
static void add_kvm(struct btf *btf, const char *first)
{
	int number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	int bits = btf__add_struct(btf, "flags", 4);
	int array, vcpu, anything, argument, proto;

	btf__add_field(btf, "low", number, 0, 3);
	btf__add_field(btf, "high", number, 3, 5);
	array = btf__add_array(btf, number, number, 7);
	vcpu = btf__add_struct(btf, "kvm_vcpu", 64);
	btf__add_field(btf, "flags", bits, 0, 0);
	btf__add_field(btf, "many", array, 32, 0);
	btf__add_field(btf, "vcpu_id", number, 256, 0);
	anything = btf__add_ptr(btf, 0);
	argument = !strcmp(first, "kvm_vcpu") ? btf__add_ptr(btf, vcpu) : number;
	proto = btf__add_func_proto(btf, 0);
	btf__add_func_param(btf, "data", anything);
	btf__add_func_param(btf, "first", argument);
	assert_true(btf__add_typedef(btf, "btf_trace_kvm_exit", btf__add_ptr(btf, proto)) > 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char path[128];

	assert_non_null(fixture);
	strcpy(fixture->sys, "/tmp/umbra-btf-XXXXXX");
	assert_non_null(mkdtemp(fixture->sys));
	snprintf(path, sizeof(path), "%s/kernel", fixture->sys);
	assert_int_equal(mkdir(path, 0700), 0);
	strcat(path, "/btf");
	assert_int_equal(mkdir(path, 0700), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"btf/vmlinux", "btf/kvm", "btf", ""};
	struct fixture *fixture = *state;
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/kernel/%s", fixture->sys, names[i]);
		remove(path);
	}
	remove(fixture->sys);
	free(fixture);
	return 0;
}

/* What struct @name of the extracted types is. */
static const struct btf_type *extracted(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);

	assert_true(id > 0);
	return btf__type_by_id(btf, (__u32)id);
}

static struct btf *extract(const struct kernel_btf *kernel, const struct btf *wanted)
{
	int fd = kernel_btf_extract(kernel, wanted);
	struct btf *btf;
	char path[64];

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	btf = btf__parse(path, NULL);
	close(fd);
	assert_non_null(btf);
	return btf;
}

static struct btf *want(const char *const *names, size_t count)
{
	struct btf *wanted = btf__new_empty();

	assert_non_null(wanted);
	for (size_t i = 0; i < count; i++)
		assert_true(btf__add_struct(wanted, names[i], 0) > 0);
	return wanted;
}

static void check_members(const struct fixture *fixture)
{
	static const char *const names[] = {"dentry", "kvm_vcpu", "kvm_vcpu___old", "nothing"};
	struct kernel_btf *kernel = kernel_btf_open(fixture->sys);
	struct btf *wanted = want(names, 4), *btf;
	const struct btf_type *type;

	assert_non_null(kernel);
	assert_true(kernel_btf_has_struct(kernel, "kvm_vcpu", NULL));
	assert_true(kernel_btf_has_struct(kernel, "kvm_vcpu", "vcpu_id"));
	assert_false(kernel_btf_has_struct(kernel, "kvm_vcpu", "vcpu"));
	assert_false(kernel_btf_has_struct(kernel, "nothing", NULL));
	btf = extract(kernel, wanted);

	type = extracted(btf, "kvm_vcpu");
	assert_int_equal(type->size, 64);
	assert_int_equal(btf_vlen(type), 3);
	assert_int_equal(btf_member_bit_offset(type, 2), 256);
	assert_string_equal(btf__name_by_offset(btf, btf_members(type)[2].name_off), "vcpu_id");
	assert_int_equal(btf__resolve_size(btf, btf_members(type)[1].type), 28);
	type = btf__type_by_id(btf, btf_members(type)[0].type);
	assert_int_equal(btf_member_bitfield_size(type, 1), 5);
	assert_int_equal(btf_member_bit_offset(type, 1), 3);

	type = extracted(btf, "dentry");
	assert_int_equal(btf_member_bit_offset(type, 1), 64);
	type = btf__type_by_id(btf, btf_members(type)[1].type);
	assert_true(btf_is_union(type));
	assert_string_equal(btf__name_by_offset(btf, btf_members(type)[0].name_off), "d_name");
	/* What a pointer leads to is not in it, and a struct is in it but once. */
	assert_true(btf__type_cnt(btf) < 16);
	assert_true(btf__find_by_name_kind(btf, "nothing", BTF_KIND_STRUCT) < 0);
	btf__free(btf);
	btf__free(wanted);
	kernel_btf_close(kernel);
}

static void types_of_a_module_lie_on_those_of_the_kernel(void **state)
{
	const struct fixture *fixture = *state;
	struct btf *kernel = make_kernel(), *module = btf__new_empty_split(kernel);

	add_kvm(module, "kvm_vcpu");
	write_btf(fixture, "vmlinux", kernel);
	write_btf(fixture, "kvm", module);
	check_members(fixture);
	btf__free(module);
	btf__free(kernel);
}

static void types_of_a_built_in_kvm_are_the_kernels(void **state)
{
	const struct fixture *fixture = *state;
	struct btf *kernel = make_kernel();

	add_kvm(kernel, "kvm_vcpu");
	write_btf(fixture, "vmlinux", kernel);
	check_members(fixture);
	btf__free(kernel);
}

static void check_tracepoint(const struct fixture *fixture, const char *first)
{
	struct btf *btf = make_kernel();
	struct kernel_btf *kernel;

	add_kvm(btf, first);
	write_btf(fixture, "vmlinux", btf);
	kernel = kernel_btf_open(fixture->sys);
	assert_non_null(kernel);
	assert_true(kernel_btf_has_tracepoint(kernel, "kvm_exit", NULL));
	assert_int_equal(kernel_btf_has_tracepoint(kernel, "kvm_exit", "kvm_vcpu"),
			 !strcmp(first, "kvm_vcpu"));
	assert_false(kernel_btf_has_tracepoint(kernel, "kvm_entry", NULL));
	assert_false(kernel_btf_has_tracepoint(kernel, "kvm_exi", NULL));
	kernel_btf_close(kernel);
	btf__free(btf);
}

/* Until Linux 5.14 it was the reason. */
static void a_tracepoint_with_another_first_argument_is_told_from_one_with_a_vcpu(void **state)
{
	check_tracepoint(*state, "kvm_vcpu");
	check_tracepoint(*state, "int");
}

static void a_kernel_without_types_is_told(void **state)
{
	const struct fixture *fixture = *state;
	char path[128];
	FILE *file;

	assert_null(kernel_btf_open(fixture->sys));
	snprintf(path, sizeof(path), "%s/kernel/btf/vmlinux", fixture->sys);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs("nothing of the kind, though long enough to have a header of BTF", file);
	assert_int_equal(fclose(file), 0);
	assert_null(kernel_btf_open(fixture->sys));
}

static int say_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(types_of_a_module_lie_on_those_of_the_kernel,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(types_of_a_built_in_kvm_are_the_kernels, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_tracepoint_with_another_first_argument_is_told_from_one_with_a_vcpu,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_kernel_without_types_is_told, set_up, tear_down),
	};

	libbpf_set_print(say_nothing);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
