/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What VMs are called, whatever stands on their owners' command lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/vm_name.h"

#define UUID "5c0e9c8a-5a0b-4a44-9a0e-2f6a3b0c1d2e"

/* Arguments are divided by '|' here. */
static struct vm_names names_of(const char *command)
{
	char text[4096];
	size_t length = strlen(command);
	struct vm_names names;

	memcpy(text, command, length + 1);
	for (size_t i = 0; i < length; i++)
		text[i] = text[i] == '|' ? '\0' : text[i];
	vm_names_of_command(text, length, &names);
	return names;
}

static void each_program_names_its_vm_in_its_own_way(void **state)
{
	static const struct {
		const char *command, *name, *uuid;
	} cases[] = {
		{"/usr/bin/qemu-system-x86_64|-name|guest=a,debug-threads=on|-uuid|" UUID "|", "a",
		 UUID},
		{"qemu-system-x86_64|-name|b|", "b", ""},
		{"/usr/libexec/qemu-kvm|--name|b,process=x|", "b", ""},
		{"/usr/bin/kvm|-id|7|-name|vm7,debug-threads=on|", "vm7", ""},
		{"qemu-system-x86_64|-name|process=x,guest=c|", "c", ""},
		{"qemu-system-x86_64|-name|guest=a|-name|guest=b|", "b", ""},
		{"qemu-system-x86_64|-name|guest=a,,b,,,,c,x=y|", "a,b,,c", ""},
		{"qemu-system-x86_64|-name|a,,b|", "a,b", ""},
		{"qemu-system-x86_64|-name|guest=a=b|", "a=b", ""},
		{"qemu-system-x86_64|-name=x|", "", ""},
		{"qemu-system-x86_64|-m|512|", "", ""},
		{"qemu-system-x86_64|-uuid|5C0E9C8A-5A0B-4A44-9A0E-2F6A3B0C1D2E|", "", UUID},
		{"qemu-system-x86_64|-uuid|00000000-0000-0000-0000-000000000000|", "", ""},
		{"qemu-system-x86_64|-uuid|" UUID "0|", "", ""},
		{"qemu-system-x86_64|-uuid|5c0e9c8a|", "", ""},
		{"/firecracker|--api-sock|x|--id|f-1|", "f-1", ""},
		{"firecracker-v1.7|--id=f-2|", "f-2", ""},
		{"firecracker|--id|anonymous-instance|", "", ""},
		{"cloud-hypervisor|--platform|num_pci_segments=1,uuid=" UUID "|", "", UUID},
		{"crosvm|run|--name|c|", "c", ""},
		{"lkvm|run|-n|k|", "k", ""},
		{"lkvm|run|--name|k|", "k", ""},
		{"lkvm|run|--network|k|", "", ""},
		{"bash|-name|guest=x|--id|x|", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vm_names names = names_of(cases[i].command);

		assert_string_equal(names.name, cases[i].name);
		assert_string_equal(names.uuid, cases[i].uuid);
	}
}

static void a_hostile_command_line_names_nothing_or_plain_text(void **state)
{
	static const struct {
		const char *command, *name;
	} cases[] = {
		{"", ""},
		{"|", ""},
		{"||||", ""},
		{"qemu", ""},
		{"qemu|-name", ""}, /* the value is missing */
		{"qemu|-name|", ""},
		{"qemu|-name|x", "x"}, /* no NUL at the end */
		{"qemu|-name|guest=", ""},
		{"qemu|-name|=|", ""},
		{"qemu|-name|,|", ""},
		{"qemu|-name|,,,|", ","},       /* an escaped comma, and the end */
		{"qemu|-name|guest|", "guest"}, /* the name, not the key */
		{"qemu|-name|guest=a\nb\x1b[2J\x7f|", "a?b?[2J?"},
		{"qemu|-|--|---name|x|", ""},
		{"qemu -name x", ""}, /* it wrote over its own arguments */
	};
	char command[3000] = "qemu|-name|guest=", name[VM_NAME_MAX + 8];
	struct vm_names names;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		names = names_of(cases[i].command);
		assert_string_equal(names.name, cases[i].name);
		assert_string_equal(names.uuid, "");
	}
	/* A long one is cut, and not within a character. */
	memset(command + strlen(command), 'a', 126);
	strcat(command, "\xc3\xb6\xc3\xb6\xc3\xb6");
	names = names_of(command);
	memset(name, 'a', 126);
	name[126] = '\0';
	assert_string_equal(names.name, name);
	memset(command, 'x', sizeof(command) - 1);
	memcpy(command, "qemu|-name|", strlen("qemu|-name|"));
	assert_int_equal(strlen(names_of(command).name), VM_NAME_MAX - 1);
}

static void the_scope_of_a_machine_names_its_vm(void **state)
{
	static const struct {
		const char *unit, *name;
	} cases[] = {
		{"machine-qemu\\x2d1\\x2dweb.scope", "web"},
		{"machine-qemu\\x2d12\\x2dweb\\x2d1.scope", "web-1"},
		{"machine-qemu\\x2d1\\x2d\\xc3\\xb6.scope", "\xc3\xb6"},
		{"machine-fedora.scope", "fedora"},
		{"machine-a\\x2db.scope", "a-b"},
		{"machine-qemu\\x2d1\\x2d\\x0a.scope", "?"},
		{"machine-qemu\\x2d1\\x2d\\x.scope", "\\x"},
		{"machine-qemu\\x2d1\\x2d\\xzz.scope", "\\xzz"},
		{"machine-qemu\\x2d1\\x2d.scope", ""},
		{"machine-.scope", ""},
		{"machine.scope", ""},
		{"session-1.scope", ""},
		{"machine-a.service", ""},
		{"", ""},
	};
	char name[VM_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vm_name_of_unit(cases[i].unit, name);
		assert_string_equal(name, cases[i].name);
	}
}

static void an_id_goes_into_a_path_as_it_is(void **state)
{
	static const char *const cases[][2] = {
		{"web-1.a_B", "web-1.a_B"},
		{"a b/c%d", "a_b_c_d"},
		{"\xc3\xb6", "__"},
		{".", "_"},
		{"..", "_."},
		{"", ""},
	};
	char id[VM_ID_MAX], name[VM_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vm_id_of_name(cases[i][0], id);
		assert_string_equal(id, cases[i][1]);
	}
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	vm_id_of_name(name, id);
	assert_int_equal(strlen(id), VM_ID_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_program_names_its_vm_in_its_own_way),
		cmocka_unit_test(a_hostile_command_line_names_nothing_or_plain_text),
		cmocka_unit_test(the_scope_of_a_machine_names_its_vm),
		cmocka_unit_test(an_id_goes_into_a_path_as_it_is),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
