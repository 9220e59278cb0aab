/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The law at the boundaries where a switch could be seen: what the CPU still has to do there, and
 * what the mode has half done.
 */
#include "boundary_fixture.h"
#include "paging/shadow.h"

/* The local APIC, at %rdi: vector 0x40 to itself; an NMI to itself. */
#define APIC_ON        "movl $0xfee00000, %edi\nmovl $0x1ff, 0xf0(%rdi)\n"
#define SEND_INTERRUPT "movl $0x40040, 0x300(%rdi)\n"
#define SEND_NMI       "movl $0, 0x310(%rdi)\nmovl $0x4400, 0x300(%rdi)\n"
#define EOI            "movl $0, 0xb0(%rdi)\n"
#define END            "outb %al, $0xf4\n"

/* --- What the last instruction holds back ----------------------------------------------------- */

PROGRAM(sti, APIC_ON SEND_INTERRUPT "xorl %ebx, %ebx\n"
				    "sti\n"
				    "incl %ebx\n" /* the interrupt comes after it */
				    "incl %ebx\n"
				    "movb 0x30000, %al\n" END "sti_handler:\n"
				    "movb %bl, 0x30000\n" EOI "iretq\n");
LABEL(sti_handler);

static bool here_sti(const struct program *program, const struct umbra_guest *guest)
{
	return guest_cpu(guest)->interrupt_shadow == X86_SHADOW_STI &&
	       machine_interrupt_pending(guest->machine, 0);
}

static void at_the_shadow_of_sti(void **state)
{
	const struct program program = {
		.code = sti,
		.end = sti_end,
		.gates = {{.vector = 0x40, .handler = sti_handler}},
		.value = 1,
		.here = here_sti,
	};

	boundary_check(&program);
}

/* A data breakpoint on the selector: #DB waits with the interrupt. */
PROGRAM(mov_ss, APIC_ON SEND_INTERRUPT
	"movw $0x10, 0x30010\n"
	"movl $0x30010, %eax\nmovq %rax, %dr0\n"
	"movl $0x70402, %eax\nmovq %rax, %dr7\n"
	"xorl %ebx, %ebx\n"
	"sti\n"
	"movw 0x30010, %ss\n"
	"incl %ebx\n" /* both come after it */
	"incl %ebx\n"
	"movzbl 0x30020, %eax\n"
	"shlb $2, 0x30021\naddb 0x30021, %al\n"
	"shlb $4, 0x30022\naddb 0x30022, %al\n" END "mov_ss_debug:\n"
	"movb %bl, 0x30020\nmovq %dr6, %rax\nandb $15, %al\nmovb %al, 0x30021\niretq\n"
	"mov_ss_interrupt:\n"
	"movb %bl, 0x30022\n" EOI "iretq\n");
LABEL(mov_ss_debug);
LABEL(mov_ss_interrupt);

static bool here_mov_ss(const struct program *program, const struct umbra_guest *guest)
{
	return guest_cpu(guest)->interrupt_shadow == X86_SHADOW_SS &&
	       guest_cpu(guest)->debug_status && machine_interrupt_pending(guest->machine, 0);
}

static void at_the_shadow_of_mov_ss(void **state)
{
	const struct program program = {
		.code = mov_ss,
		.end = mov_ss_end,
		.gates = {{.vector = X86_DB, .handler = mov_ss_debug},
			  {.vector = 0x40, .handler = mov_ss_interrupt}},
		.value = 1 + (1 << 2) + (1 << 4),
		.here = here_mov_ss,
	};

	boundary_check(&program);
}

/* --- REP -------------------------------------------------------------------------------------- */

/* Elements that cross pages, sources and destinations in pages that follow. */
#define REP(name, instruction, count, source, destination)                                         \
	PROGRAM(name, "movl $" count ", %ecx\nmovl $" source ", %esi\nmovl $" destination          \
		      ", %edi\nmovl $0x5a5a, %eax\nmovb $0xff, 0x37004\n" #name                    \
		      "_here:\n" instruction "\nmovb %cl, %al\naddb 0x37001, %al\n" END);          \
	LABEL(name##_here)

REP(rep_movs, "rep movsl", "12", "0x34ff2", "0x36ffb");
REP(rep_stos, "rep stosw", "12", "0x34ff2", "0x36ff9");
REP(rep_cmps, "repe cmpsb", "24", "0x34ff0", "0x36ff0");

static bool here_rep(const struct program *program, const struct umbra_guest *guest)
{
	return guest_cpu(guest)->blocks->in_rep && here_at_label(program, guest);
}

static void between_two_iterations_of_movs(void **state)
{
	const struct program program = {
		.code = rep_movs,
		.end = rep_movs_end,
		.value = 8, /* of 0x34ff8 */
		.here = here_rep,
		.labels = {rep_movs_here},
	};

	boundary_check(&program);
}

static void between_two_iterations_of_stos(void **state)
{
	const struct program program = {
		.code = rep_stos,
		.end = rep_stos_end,
		.value = 0x5a,
		.here = here_rep,
		.labels = {rep_stos_here},
	};

	boundary_check(&program);
}

static void between_two_iterations_of_cmps(void **state)
{
	const struct program program = {
		.code = rep_cmps,
		.end = rep_cmps_end,
		.value = 3 + 1, /* the 21st byte differs */
		.here = here_rep,
		.labels = {rep_cmps_here},
	};

	boundary_check(&program);
}

/* --- Pending #DB ------------------------------------------------------------------------------ */

PROGRAM(single_step, "xorl %ebx, %ebx\n"
		     "pushfq\norl $0x100, (%rsp)\npopfq\n"
		     "incl %ebx\nincl %ebx\nincl %ebx\nincl %ebx\nincl %ebx\n"
		     "movb 0x30040, %al\nshlb $4, %al\naddb %bl, %al\n" END "single_step_debug:\n"
		     "incb 0x30040\ncmpb $3, 0x30040\njb 1f\nandl $~0x100, 16(%rsp)\n1: iretq\n");
LABEL(single_step_debug);

static bool here_debug(const struct program *program, const struct umbra_guest *guest)
{
	return guest_cpu(guest)->pending & X86_PENDING_TRAP;
}

static void with_a_single_step_pending(void **state)
{
	const struct program program = {
		.code = single_step,
		.end = single_step_end,
		.gates = {{.vector = X86_DB, .handler = single_step_debug}},
		.value = (3 << 4) + 5,
		.here = here_debug,
	};

	boundary_check(&program);
}

PROGRAM(breakpoint, "movl $0x30050, %eax\nmovq %rax, %dr0\n"
		    "movl $0xd0402, %eax\nmovq %rax, %dr7\n"
		    "xorl %ebx, %ebx\n"
		    "movl %ebx, 0x30050\n"
		    "incl %ebx\n"
		    "movb 0x30058, %al\n" END "breakpoint_debug:\n"
		    "movq %dr6, %rax\naddb %bl, %al\nmovb %al, 0x30058\niretq\n");
LABEL(breakpoint_debug);

static void with_a_data_breakpoint_pending(void **state)
{
	const struct program program = {
		.code = breakpoint,
		.end = breakpoint_end,
		.gates = {{.vector = X86_DB, .handler = breakpoint_debug}},
		.value = 0xf1, /* DR6, and nothing was done since */
		.here = here_debug,
	};

	boundary_check(&program);
}

/* --- HLT and NMI ------------------------------------------------------------------------------ */

PROGRAM(hlt, APIC_ON "movl $0xb, 0x3e0(%rdi)\nmovl $0x41, 0x320(%rdi)\nmovl $60, 0x380(%rdi)\n"
		     "sti\nhlt\n"
		     "movb 0x30000, %al\n" END "hlt_handler:\n"
		     "incb 0x30000\n" EOI "iretq\n");
LABEL(hlt_handler);

static bool here_hlt(const struct program *program, const struct umbra_guest *guest)
{
	return guest_cpu(guest)->halted;
}

static void while_halted(void **state)
{
	const struct program program = {
		.code = hlt,
		.end = hlt_end,
		.gates = {{.vector = 0x41, .handler = hlt_handler}},
		.value = 1,
		.here = here_hlt,
	};

	boundary_check(&program);
}

PROGRAM(nmi, APIC_ON SEND_NMI "nop\nnop\n"
			      "movb 0x30000, %al\n" END "nmi_handler:\n"
			      "incb 0x30000\ncmpb $1, 0x30000\njne 1f\n" SEND_NMI
			      "nop\nnop\nmovb 0x30000, %bl\n"
			      "1: iretq\n");
LABEL(nmi_handler);

static bool here_nmi(const struct program *program, const struct umbra_guest *guest)
{
	const struct x86_cpu *cpu = guest_cpu(guest);

	return cpu->nmi_blocked && (cpu->pending & X86_PENDING_NMI);
}

static void in_an_nmi_with_another_one_blocked(void **state)
{
	const struct program program = {
		.code = nmi,
		.end = nmi_end,
		.gates = {{.vector = X86_NMI, .handler = nmi_handler}},
		.value = 2,
		.here = here_nmi,
	};

	boundary_check(&program);
}

/* --- What the mode has half done -------------------------------------------------------------- */

/*
 * Entries of 0x38000 and of 0x3a000, which is absent: changed with an invalidation that is still to
 * come, and changed where none is needed.
 */
PROGRAM(unsync, "movl $1, 0x38000\nmovl $2, 0x39000\nmovl 0x38000, %ebx\n"
		"movq $0x39003, 0x41c0\n"
		"unsync_changed:\n"
		"nop\n"
		"movq $0x3a003, 0x41d0\n"
		"unsync_made:\n"
		"incl 0x3a000\n"
		"invlpg 0x38000\n"
		"movl 0x38000, %ecx\n"
		"movq $0x38003, 0x41c0\n"
		"unsync_before_cr3:\n"
		"movq %cr3, %rax\nmovq %rax, %cr3\n"
		"movl 0x38000, %eax\n"
		"shll $2, %ecx\nshll $4, %eax\naddl %ebx, %eax\naddl %ecx, %eax\n" END);
LABEL(unsync_changed);
LABEL(unsync_made);
LABEL(unsync_before_cr3);

static bool here_unsync(const struct program *program, const struct umbra_guest *guest)
{
	const struct shadow *shadow = guest->vmm->shadow;
	bool found = false;

	if (!here_at_label(program, guest))
		return false;
	if (umbra_guest_mode(guest) != UMBRA_MODE_SHADOW ||
	    umbra_guest_counters(guest)->switches[0])
		return true;
	for (uint32_t i = 0; i < shadow->unsync.count; i++)
		found |= shadow->page[ref_list_at(&shadow->unsync, i)].unsync;
	return found;
}

static void with_shadow_leaves_out_of_sync(void **state)
{
	const struct program program = {
		.code = unsync,
		.end = unsync_end,
		.value = 1 + (2 << 2) + (1 << 4),
		.here = here_unsync,
		.labels = {unsync_changed, unsync_made, unsync_before_cr3},
	};

	boundary_check(&program);
}

/*
 * The page of the stack (0x20000) or of the IDT's first gates (0x7000) is absent when an exception
 * or an interrupt is delivered. #PF is then handled on another stack and maps both; where #PF has
 * none it becomes #DF.
 */
#define NO_STACK "movq $0, 0x4100\ninvlpg 0x20000\n"
#define MAP_ALL  "movq $0x20003, 0x4100\nmovq $0x7003, 0x4038\n"

PROGRAM(delivery, APIC_ON NO_STACK
	"delivery_exception:\n"
	"ud2\n" NO_STACK SEND_INTERRUPT "sti\n"
	"delivery_interrupt:\n"
	"nop\n"
	"cli\n"
	"movq $0, 0x4038\ninvlpg 0x7000\n"
	"delivery_idt:\n"
	"ud2\n" NO_STACK "movb $0, 0x8074\n" /* no stack of its own for #PF */
	"delivery_double:\n"
	"movb 0x3f000, %al\n"
	"delivery_done:\n"
	"movb 0x30060, %al\n" END "delivery_ud:\n"
	"addb $16, 0x30060\naddq $2, (%rsp)\niretq\n"
	"delivery_pf:\nnop\ndelivery_pf_began:\n" MAP_ALL
	"incb 0x30060\nmovq %cr2, %rdx\naddq %rdx, 0x30070\npopq %rdx\naddq %rdx, 0x30068\niretq\n"
	"delivery_df:\nnop\ndelivery_df_began:\n" MAP_ALL
	"addb $8, 0x30060\npopq %rdx\nleaq delivery_done(%rip), %rdx\nmovq %rdx, (%rsp)\niretq\n"
	"delivery_irq:\n" EOI "iretq\n");
LABEL(delivery_exception);
LABEL(delivery_interrupt);
LABEL(delivery_idt);
LABEL(delivery_double);
LABEL(delivery_ud);
LABEL(delivery_pf);
LABEL(delivery_pf_began);
LABEL(delivery_df);
LABEL(delivery_df_began);
LABEL(delivery_irq);

static const struct program delivery_program = {
	.code = delivery,
	.end = delivery_end,
	.gates = {{.vector = X86_UD, .handler = delivery_ud},
		  {.vector = X86_PF, .ist = 1, .handler = delivery_pf},
		  {.vector = X86_DF, .ist = 2, .handler = delivery_df},
		  {.vector = 0x40, .handler = delivery_irq}},
	.value = 3 + 8 + 2 * 16,
	.here = here_at_label,
};

static void before_an_exception_during_delivery_of_another(void **state)
{
	struct program program = delivery_program;

	program.labels[0] = delivery_exception;
	program.labels[1] = delivery_interrupt;
	program.labels[2] = delivery_idt;
	program.labels[3] = delivery_double;
	boundary_check(&program);
}

static void after_an_exception_during_delivery_of_another(void **state)
{
	struct program program = delivery_program;

	program.labels[0] = delivery_pf_began;
	program.labels[1] = delivery_df_began;
	boundary_check(&program);
}

/* An operand in two pages; a locked one; a copy. Neither pages nor their tables were touched. */
PROGRAM(second_step, "movl $0x40000ffc, %esi\nmovl $0x40003ffe, %edx\nmovl $0x40004ff8, %edi\n"
		     "second_step_read:\n"
		     "movq (%rsi), %rax\n"
		     "second_step_modify:\n"
		     "lock addl $0x10001, (%rdx)\n"
		     "movl $0x40005ff4, %esi\n"
		     "movl $24, %ecx\n"
		     "second_step_copy:\n"
		     "rep movsb\n"
		     "movl (%rdx), %eax\n" END);
LABEL(second_step_read);
LABEL(second_step_modify);
LABEL(second_step_copy);

static void before_a_walk_that_faults_in_the_second_step(void **state)
{
	const struct program program = {
		.code = second_step,
		.end = second_step_end,
		.value = 1,
		.here = here_at_label,
		.labels = {second_step_read, second_step_modify},
		.exits = true,
	};

	boundary_check(&program);
}

/* The copy reaches its second page in the middle. */
static bool here_copy(const struct program *program, const struct umbra_guest *guest)
{
	const struct x86_cpu *cpu = guest_cpu(guest);

	return cpu->blocks->in_rep && here_at_label(program, guest) &&
	       (!(cpu->gpr[X86_RSI] & PAGE_MASK) || !(cpu->gpr[X86_RDI] & PAGE_MASK));
}

static void in_a_copy_whose_next_page_is_not_filled(void **state)
{
	const struct program program = {
		.code = second_step,
		.end = second_step_end,
		.value = 1,
		.here = here_copy,
		.labels = {second_step_copy},
		.exits = true,
	};

	boundary_check(&program);
}

/*
 * Both walk by the table at 0x4000, whose bits they set; the first one moves 0x38000 to 0x39000 and
 * back, clears what was set, and has the second one invalidate.
 */
PROGRAM(two, "movl $8, %ecx\n"
	     "1: incl 0x38000\n"
	     "lock xorq $0x1000, 0x41c0\n"
	     "two_moved:\n"
	     "lock andq $~0x60, 0x41c0\n"
	     "two_cleared:\n"
	     "invlpg 0x38000\n"
	     "incl 0x30080\n"
	     "2: pause\nmovl 0x30084, %eax\ncmpl 0x30080, %eax\njne 2b\n"
	     "two_acknowledged:\n"
	     "incl 0x38000\n"
	     "loop 1b\n"
	     "movl 0x38000, %eax\naddl 0x39000, %eax\n" END "two_second:\n"
	     "incl 0x3b000\npause\nmovl 0x30080, %eax\ncmpl 0x30084, %eax\nje two_second\n"
	     "invlpg 0x38000\n"
	     "incl 0x38000\n"
	     "movl %eax, 0x30084\n"
	     "jmp two_second\n");
LABEL(two_moved);
LABEL(two_cleared);
LABEL(two_acknowledged);
LABEL(two_second);

static void with_two_vcpus_in_the_same_table(void **state)
{
	const struct program program = {
		.code = two,
		.end = two_end,
		.entry_1 = two_second,
		.value = 8 * 3,
		.here = here_at_label,
		.labels = {two_moved, two_cleared, two_acknowledged},
	};

	boundary_check(&program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_the_shadow_of_sti),
		cmocka_unit_test(at_the_shadow_of_mov_ss),
		cmocka_unit_test(between_two_iterations_of_movs),
		cmocka_unit_test(between_two_iterations_of_stos),
		cmocka_unit_test(between_two_iterations_of_cmps),
		cmocka_unit_test(with_a_single_step_pending),
		cmocka_unit_test(with_a_data_breakpoint_pending),
		cmocka_unit_test(while_halted),
		cmocka_unit_test(in_an_nmi_with_another_one_blocked),
		cmocka_unit_test(with_shadow_leaves_out_of_sync),
		cmocka_unit_test(before_an_exception_during_delivery_of_another),
		cmocka_unit_test(after_an_exception_during_delivery_of_another),
		cmocka_unit_test(before_a_walk_that_faults_in_the_second_step),
		cmocka_unit_test(in_a_copy_whose_next_page_is_not_filled),
		cmocka_unit_test(with_two_vcpus_in_the_same_table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
