/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exit reasons of both vendors under one vocabulary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/sample.h"

/*
 * How the kernel prints exits (the format of the event kvm_exit, Linux 6.18), and what they are
 * called here.
 */
struct name {
	const char *kernel, *reason;
};

static const struct name vmx_names[] = {
	{"EXCEPTION_NMI", "exception"},
	{"EXTERNAL_INTERRUPT", "external_interrupt"},
	{"TRIPLE_FAULT", "triple_fault"},
	{"INIT_SIGNAL", "init_signal"},
	{"SIPI_SIGNAL", "sipi"},
	{"INTERRUPT_WINDOW", "interrupt_window"},
	{"NMI_WINDOW", "nmi_window"},
	{"TASK_SWITCH", "task_switch"},
	{"CPUID", "cpuid"},
	{"HLT", "hlt"},
	{"INVD", "invd"},
	{"INVLPG", "invlpg"},
	{"RDPMC", "rdpmc"},
	{"RDTSC", "rdtsc"},
	{"VMCALL", "vmcall"},
	{"VMCLEAR", "vmx_instruction"},
	{"VMLAUNCH", "vmx_instruction"},
	{"VMPTRLD", "vmx_instruction"},
	{"VMPTRST", "vmx_instruction"},
	{"VMREAD", "vmx_instruction"},
	{"VMRESUME", "vmx_instruction"},
	{"VMWRITE", "vmx_instruction"},
	{"VMOFF", "vmx_instruction"},
	{"VMON", "vmx_instruction"},
	{"CR_ACCESS", "cr_access"},
	{"DR_ACCESS", "dr_access"},
	{"IO_INSTRUCTION", "io_instruction"},
	{"MSR_READ", "rdmsr"},
	{"MSR_WRITE", "wrmsr"},
	{"INVALID_STATE", "entry_failure"},
	{"MSR_LOAD_FAIL", "entry_failure"},
	{"MWAIT_INSTRUCTION", "mwait"},
	{"MONITOR_TRAP_FLAG", "monitor_trap_flag"},
	{"MONITOR_INSTRUCTION", "mwait"},
	{"PAUSE_INSTRUCTION", "pause"},
	{"MCE_DURING_VMENTRY", "entry_failure"},
	{"TPR_BELOW_THRESHOLD", "tpr_below_threshold"},
	{"APIC_ACCESS", "apic_access"},
	{"EOI_INDUCED", "virtualized_eoi"},
	{"GDTR_IDTR", "descriptor_table"},
	{"LDTR_TR", "descriptor_table"},
	{"EPT_VIOLATION", "ept_violation"},
	{"EPT_MISCONFIG", "ept_misconfiguration"},
	{"INVEPT", "vmx_instruction"},
	{"RDTSCP", "rdtsc"},
	{"PREEMPTION_TIMER", "preemption_timer"},
	{"INVVPID", "vmx_instruction"},
	{"WBINVD", "wbinvd"},
	{"XSETBV", "xsetbv"},
	{"APIC_WRITE", "apic_access"},
	{"RDRAND", "random"},
	{"INVPCID", "invpcid"},
	{"VMFUNC", "vmx_instruction"},
	{"ENCLS", "other"},
	{"RDSEED", "random"},
	{"PML_FULL", "page_modification_log_full"},
	{"XSAVES", "other"},
	{"XRSTORS", "other"},
	{"UMWAIT", "umwait"},
	{"TPAUSE", "umwait"},
	{"BUS_LOCK", "bus_lock"},
	{"NOTIFY", "notify"},
	{"TDCALL", "other"},
	{"MSR_READ_IMM", "rdmsr"},
	{"MSR_WRITE_IMM", "wrmsr"},
};

/* A name that ends in * stands for all that begin so; the first that fits counts. */
static const struct name svm_names[] = {
	{"read_cr*", "cr_access"},
	{"write_cr*", "cr_access"},
	{"cr0_sel_write", "cr_access"},
	{"read_dr*", "dr_access"},
	{"write_dr*", "dr_access"},
	{"PF excp", "page_fault"},
	{"?? excp", "exception"},
	{"interrupt", "external_interrupt"},
	{"nmi", "nmi"},
	{"smi", "smi"},
	{"init", "init_signal"},
	{"vintr", "interrupt_window"},
	{"read_idtr", "descriptor_table"},
	{"read_gdtr", "descriptor_table"},
	{"read_ldtr", "descriptor_table"},
	{"read_rt", "descriptor_table"},
	{"write_idtr", "descriptor_table"},
	{"write_gdtr", "descriptor_table"},
	{"write_ldtr", "descriptor_table"},
	{"write_rt", "descriptor_table"},
	{"rdtsc", "rdtsc"},
	{"rdpmc", "rdpmc"},
	{"pushf", "other"},
	{"popf", "other"},
	{"cpuid", "cpuid"},
	{"rsm", "other"},
	{"iret", "nmi_window"},
	{"swint", "other"},
	{"invd", "invd"},
	{"pause", "pause"},
	{"hlt", "hlt"},
	{"idle-halt", "hlt"},
	{"invlpg", "invlpg"},
	{"invlpga", "vmx_instruction"},
	{"io", "io_instruction"},
	{"msr", "rdmsr"},
	{"task_switch", "task_switch"},
	{"ferr_freeze", "other"},
	{"shutdown", "triple_fault"},
	{"vmrun", "vmx_instruction"},
	{"hypercall", "vmcall"},
	{"vmload", "vmx_instruction"},
	{"vmsave", "vmx_instruction"},
	{"stgi", "vmx_instruction"},
	{"clgi", "vmx_instruction"},
	{"skinit", "vmx_instruction"},
	{"rdtscp", "rdtsc"},
	{"icebp", "other"},
	{"wbinvd", "wbinvd"},
	{"monitor", "mwait"},
	{"mwait", "mwait"},
	{"xsetbv", "xsetbv"},
	{"write_efer_trap", "wrmsr"},
	{"invpcid", "invpcid"},
	{"buslock", "bus_lock"},
	{"npf", "ept_violation"},
	{"avic_incomplete_ipi", "avic"},
	{"avic_unaccelerated_access", "apic_access"},
	{"vmgexit", "vmgexit"},
	/* What an encrypted guest asks for with a vmgexit is no exit code of the processor. */
	{"vmgexit_*", "other"},
	{"invalid_guest_state", "entry_failure"},
};

static const char *expected(const struct name *names, size_t count, const char *kernel)
{
	for (size_t i = 0; i < count; i++) {
		const char *star = strchr(names[i].kernel, '*');

		if (!strcmp(names[i].kernel, kernel) ||
		    (star && !strncmp(names[i].kernel, kernel, (size_t)(star - names[i].kernel))) ||
		    (!strncmp(names[i].kernel, "??", 2) && strlen(kernel) > 2 &&
		     !strcmp(kernel + 2, names[i].kernel + 2)))
			return names[i].reason;
	}
	return NULL;
}
#define EXPECTED(names, kernel) expected(names, sizeof(names) / sizeof((names)[0]), kernel)

/* "{ 0x040 + 14, "PF excp" }, ...": calls @check for each; how many there were. */
static size_t each_symbol(const char *text, void (*check)(unsigned int number, const char *name))
{
	size_t count = 0;

	while (*text == '{' || !strncmp(text, ", {", 3)) {
		char name[64], *end;
		unsigned int number;

		text = strchr(text, '{') + 1;
		number = (unsigned int)strtol(text, &end, 0);
		if (!strncmp(end, " + ", 3))
			number += (unsigned int)strtol(end + 3, &end, 0);
		assert_int_equal(sscanf(end, ", \"%63[^\"]\"", name), 1);
		check(number, name);
		text = strchr(end, '}') + 1;
		count++;
	}
	return count;
}

static void check_vmx(unsigned int number, const char *name)
{
	const char *reason = EXPECTED(vmx_names, name);

	if (reason)
		assert_string_equal(kvm_exit_reason_name(exit_reason_vmx(number)), reason);
	else
		print_message("# VMX %u is %s to a newer kernel\n", number, name);
}

static void check_svm(unsigned int code, const char *name)
{
	const char *reason = EXPECTED(svm_names, name);

	if (reason)
		assert_string_equal(kvm_exit_reason_name(exit_reason_svm(code)), reason);
	else
		print_message("# SVM 0x%x is %s to a newer kernel\n", code, name);
}

static FILE *open_format(void)
{
	static const char *const folders[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	FILE *file = NULL;

	for (size_t i = 0; i < 2 && !file; i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/events/kvm/kvm_exit/format", folders[i]);
		file = fopen(path, "re");
	}
	return file;
}

static void numbers_mean_what_the_kernel_prints_for_them(void **state)
{
	static char text[65536];
	FILE *file = open_format();
	char *vmx, *svm;
	size_t size;

	if (!file) {
		print_message("# SKIP no format of the event kvm_exit: no tracefs, or no KVM\n");
		skip();
	}
	size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	assert_true(size > 0);
	vmx = strstr(text, "__print_symbolic(REC->exit_reason & 0xffff, {");
	svm = strstr(text, "__print_symbolic(REC->exit_reason, {");
	assert_non_null(vmx);
	assert_non_null(svm);
	assert_true(each_symbol(strchr(vmx, '{'), check_vmx) > 50);
	assert_true(each_symbol(strchr(svm, '{'), check_svm) > 80);
}

/* What the manuals say, without a kernel: SDM 3D appendix C, APM 2 appendix C. */
static void numbers_of_the_manuals_have_their_reasons(void **state)
{
	check_vmx(1, "EXTERNAL_INTERRUPT");
	check_vmx(14, "INVLPG");
	check_vmx(28, "CR_ACCESS");
	check_vmx(48, "EPT_VIOLATION");
	check_vmx(0x80000000 | 33, "INVALID_STATE");
	check_svm(0x13, "write_cr3");
	check_svm(0x40 + 6, "UD excp");
	check_svm(0x40 + 14, "PF excp");
	check_svm(0x79, "invlpg");
	check_svm(0x400, "npf");
	check_svm(0xffffffff, "invalid_guest_state");
}

static void numbers_that_nothing_has_are_other(void **state)
{
	static const unsigned int none[] = {11, 35, 38, 42, 60, 95, 96, 0xffff};

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(exit_reason_vmx(none[i]), KVM_EXIT_other);
	assert_int_equal(exit_reason_svm(0x3ff), KVM_EXIT_other);
	assert_int_equal(exit_reason_svm(0x404), KVM_EXIT_other);
	assert_int_equal(exit_reason_svm(0xfffffffe), KVM_EXIT_other);
}

static void an_exception_is_split_by_its_vector(void **state)
{
	const unsigned int valid = 1U << 31, hardware = 3 << 8, software = 6 << 8, nmi = 2 << 8;

	assert_int_equal(exit_reason_exception(valid | hardware | 14), KVM_EXIT_page_fault);
	assert_int_equal(exit_reason_exception(valid | hardware | 6), KVM_EXIT_exception);
	assert_int_equal(exit_reason_exception(valid | software | 3), KVM_EXIT_exception);
	assert_int_equal(exit_reason_exception(valid | nmi | 2), KVM_EXIT_nmi);
	assert_int_equal(exit_reason_exception(0), KVM_EXIT_exception);
}

/* SDM 3C table 28-3: bits 3:0 the register, 5:4 the kind of access, 11:8 the general register. */
static void only_a_mov_to_cr3_is_a_load(void **state)
{
	assert_true(exit_qualification_is_cr3_load(0x003));
	assert_true(exit_qualification_is_cr3_load(0xf03));
	assert_false(exit_qualification_is_cr3_load(0x013)); /* from CR3 */
	assert_false(exit_qualification_is_cr3_load(0x000)); /* to CR0 */
	assert_false(exit_qualification_is_cr3_load(0x023)); /* CLTS */
}

static void a_time_is_in_the_lowest_slot_that_has_it(void **state)
{
	assert_int_equal(exit_slot(0), 0);
	for (unsigned int slot = 0; slot < EXIT_SLOT_COUNT; slot++) {
		unsigned long long end = 1ULL << (slot + EXIT_SLOT_SHIFT);
		unsigned int next = slot + 1 < EXIT_SLOT_COUNT ? slot + 1 : slot;

		assert_int_equal(exit_slot(end - 1), slot);
		assert_int_equal(exit_slot(end), next);
		assert_int_equal(exit_slot(end + 1), next);
	}
	assert_int_equal(exit_slot(~0ULL), EXIT_SLOT_COUNT - 1);
	assert_int_equal(exit_slot(1ULL << 40), EXIT_SLOT_COUNT - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_mean_what_the_kernel_prints_for_them),
		cmocka_unit_test(numbers_of_the_manuals_have_their_reasons),
		cmocka_unit_test(numbers_that_nothing_has_are_other),
		cmocka_unit_test(an_exception_is_split_by_its_vector),
		cmocka_unit_test(only_a_mov_to_cr3_is_a_load),
		cmocka_unit_test(a_time_is_in_the_lowest_slot_that_has_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
