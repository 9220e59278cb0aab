/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests on the KVM of this host, whatever mode it has; without one all of it is skipped. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "shipped_guest.h"
#include "umbra/explain.h"
#include "umbra/kvm_engine.h"
#include "umbra/translate.h"

#define RAM    (8ull << 20)
#define SECOND 1000000000ull
#define MINUTES                                                                                    \
	(300 * SECOND) /* of any guest here: a deadline, on a machine with much else to do */

/*
 * A multiboot image of 32-bit code at 1 MiB, unpaged. `at REGISTER, LABEL` has where in guest
 * memory the label is; unpaged code begins behind the header.
 */
#define GUEST(name, code)                                                                          \
	extern const uint8_t name[], name##_end[];                                                 \
	__asm__(".pushsection .rodata\n"                                                           \
		".balign 4\n" #name ":\n"                                                          \
		".macro at register, label\n"                                                      \
		"movl $(\\label - " #name " + 0x100000), \\register\n"                             \
		".endm\n"                                                                          \
		".long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)\n"                             \
		".long 0x100000, 0x100000, 0, 0, 0x100020\n"                                       \
		".code32\n" code "\n"                                                              \
		".code64\n" #name "_end:\n"                                                        \
		".purgem at\n"                                                                     \
		".popsection\n")

/* What the guest writes to the debug exit port ends it. */
#define EXIT "outb %al, $0xf4\n"
/* An interrupt gate for @vector in a table at 2 MiB, which is loaded. */
#define GATE(vector, handler)                                                                      \
	"at %eax, " handler "\n"                                                                   \
	"movw %ax, 0x200000 + 8 * " vector "\n"                                                    \
	"movw $0x10, 0x200002 + 8 * " vector "\n"                                                  \
	"movw $0x8e00, 0x200004 + 8 * " vector "\n"                                                \
	"shrl $16, %eax\n"                                                                         \
	"movw %ax, 0x200006 + 8 * " vector "\n"                                                    \
	"movw $0x7ff, 0x200800\n"                                                                  \
	"movl $0x200000, 0x200802\n"                                                               \
	"lidt 0x200800\n"
#define STACK            "movl $0x300000, %esp\n"
#define PUT(value, port) "movb $" value ", %al\noutb %al, $" port "\n"
/* The first 8259 from vector 0x20 on, with this mask. */
#define PIC(mask)  PUT("0x11", "0x20") PUT("0x20", "0x21") PIC2(mask)
#define PIC2(mask) PUT("4", "0x21") PUT("1", "0x21") PUT(mask, "0x21")

GUEST(exits, "movb $42, %al\n" EXIT);
GUEST(speaks, "at %esi, 1f\n"
	      "movw $0x3f8, %dx\n"
	      "movl $5, %ecx\n"
	      "cld\n"
	      "rep outsb\n"
	      "movb $0, %al\n" EXIT "1: .ascii \"hello\"\n");
GUEST(echoes, "1: movw $0x3fd, %dx\n"
	      "inb %dx, %al\n"
	      "testb $1, %al\n"
	      "jz 1b\n"
	      "movw $0x3f8, %dx\n"
	      "inb %dx, %al\n"
	      "outb %al, %dx\n"
	      "cmpb $'!', %al\n"
	      "jne 1b\n"
	      "movb $0, %al\n" EXIT);
GUEST(faults, STACK "at %eax, 1f\n"
		    "lidt (%eax)\n"
		    "ud2\n"
		    "1: .quad 0\n");
GUEST(spins, "1: incl %ecx\n"
	     "jmp 1b\n");
GUEST(halts, "cli\n"
	     "hlt\n");
GUEST(computes, "movl $0x12345678, %ebx\n"
		"movl $0x9abcdef0, %ecx\n"
		"movl %ebx, 0x280000\n"
		"movb $1, %al\n" EXIT);
GUEST(computes_more, "movl %cr0, %eax\n"
		     "andl $~4, %eax\n"
		     "movl %eax, %cr0\n"
		     "movl $0x600, %eax\n" /* OSFXSR, OSXMMEXCPT */
		     "movl %eax, %cr4\n"
		     "movl $0x12345678, %ebx\n"
		     "movd %ebx, %xmm3\n"
		     "fninit\n"
		     "fld1\n"
		     "fldz\n"
		     "movb $1, %al\n" EXIT);
/* The handlers return without IRET, which a KVM that emulates CPL 0 cannot. */
GUEST(ticks,
      STACK GATE("0x20", "2f") PIC("0xfe") PUT("0x34", "0x43") PUT("0x9c", "0x40")
	      PUT("0x2e", "0x40") "movl $0, %ebx\n"
				  "1: sti\n"
				  "hlt\n"
				  "jmp 1b\n"
				  "2: incl %ebx\n" PUT("0x20", "0x20") "addl $12, %esp\n"
								       "cmpl $5, %ebx\n"
								       "jb 1b\n"
								       "movb %bl, %al\n" EXIT);
GUEST(sends, STACK GATE("0x24", "2f") PIC("0xef") "movw $0x3fc, %dx\n"
						  "movb $8, %al\n" /* OUT2: the interrupt's wire */
						  "outb %al, %dx\n"
						  "movw $0x3f9, %dx\n"
						  "movb $2, %al\n" /* transmitter empty */
						  "outb %al, %dx\n"
						  "sti\n"
						  "1: hlt\n"
						  "jmp 1b\n"
						  "2: movb $9, %al\n" EXIT);
GUEST(nobody, "movl 0xd0000000, %eax\n"
	      "movl $5, 0xd0000000\n"
	      "movw $0x5658, %dx\n"
	      "movl %eax, %ebx\n"
	      "inl %dx, %eax\n"
	      "andl %ebx, %eax\n" EXIT);
GUEST(powers_off, "movw $0x604, %dx\n"
		  "movw $0x3400, %ax\n" /* SLP_EN, S5 */
		  "outw %ax, %dx\n");

/*
 * The second processor waits for an interrupt in HLT; the first one sends it and halts for good, so
 * that what is under way is all that can wake anybody.
 */
GUEST(wakes, STACK GATE("0x30", "4f") PUT("0xff", "0x21")
		     PUT("0xff", "0xa1") "sgdt 0x7f00\n"
					 "movw %ds, 0x7f10\n"
					 "movl $0, 0x7f20\n"
					 "at %esi, 2f\n"
					 "movl $0x8000, %edi\n"
					 "movl $(3f - 2f), %ecx\n"
					 "cld\n"
					 "rep movsb\n"
					 /* INIT, SIPI */
					 "movl $0x1000000, 0xfee00310\n"
					 "movl $0x4500, 0xfee00300\n"
					 "movl $0x4608, 0xfee00300\n"
					 "1: cmpl $0, 0x7f20\n"
					 "jz 1b\n"
					 "movl $20000, %ecx\n"
					 "5: decl %ecx\n"
					 "jnz 5b\n"
					 "movl $0x4030, 0xfee00300\n"
					 "cli\n"
					 "hlt\n"
					 /* At 0x8000, in real mode */
					 ".code16\n"
					 "2: xorw %ax, %ax\n"
					 "movw %ax, %ds\n"
					 "lgdtl 0x7f00\n"
					 "movw 0x7f10, %bx\n"
					 "movl %cr0, %eax\n"
					 "orb $1, %al\n"
					 "movl %eax, %cr0\n"
					 "ljmpl $0x10, $(3f - wakes + 0x100000)\n"
					 ".code32\n"
					 "3: movw %bx, %ds\n"
					 "movw %bx, %ss\n"
					 "movl $0x310000, %esp\n"
					 "lidt 0x200800\n"
					 "movl $0x1ff, 0xfee000f0\n" /* APIC enabled by software */
					 "movl $1, 0x7f20\n"
					 "6: sti\n"
					 "hlt\n"
					 "jmp 6b\n"
					 "4: movb $7, %al\n" EXIT);

/* An NMI for all others, before they were started. */
GUEST(disturbs, "movl $0xc4400, 0xfee00300\n"
		"movl $100000, %ecx\n"
		"1: decl %ecx\n"
		"jnz 1b\n"
		"movb $3, %al\n" EXIT);

static int kvm = -1;
static struct umbra_counters counters __attribute__((aligned(64)));
static struct umbra_kvm_figures figures;
static struct umbra_guest *guest;
static char output[4096];
static size_t output_length;
static const char *input;

static void console_write(void *context, const uint8_t *bytes, size_t len)
{
	assert_true(output_length + len < sizeof(output));
	memcpy(output + output_length, bytes, len);
	output_length += len;
}

static int console_read(void *context)
{
	return input && *input ? *input++ : -1;
}

static struct umbra_kvm_config kvm_config;

static struct umbra_guest_config config_of(unsigned cpus)
{
	kvm_config.fd = kvm;
	kvm_config.figures = &figures;
	return (struct umbra_guest_config){
		.name = "test",
		.engine = UMBRA_ENGINE_KVM,
		.kvm = &kvm_config,
		/* Whichever: the engine takes its embedder's word. */
		.mode = UMBRA_MODE_SHADOW,
		.memory = RAM,
		.cpus = cpus,
		.console = {console_write, console_read, NULL},
	};
}

static void load(const void *image, size_t size, const char *append)
{
	const struct umbra_image loaded = {
		.name = "test", .data = image, .size = size, .append = append};
	struct umbra_error error = {0};

	if (umbra_guest_load(guest, &loaded, &error))
		fail_msg("%s %s: %s", error.subject, error.place, error.text);
}

static void create(const struct umbra_guest_config *config)
{
	struct umbra_error error = {0};

	umbra_guest_destroy(guest);
	guest = NULL;
	if (umbra_guest_create(config, &counters, &guest, &error))
		fail_msg("%s %s: %s", error.subject, error.place, error.text);
}

static void begin(const uint8_t *image, const uint8_t *end)
{
	struct umbra_guest_config config = config_of(1);

	create(&config);
	load(image, (size_t)(end - image), NULL);
}

/* To its end, or for a very long time. */
static const struct umbra_end *run(void)
{
	while (!umbra_guest_end(guest) && umbra_guest_time(guest) < MINUTES)
		umbra_guest_run(guest, UINT64_MAX);
	assert_non_null(umbra_guest_end(guest));
	return umbra_guest_end(guest);
}

static const struct umbra_end *run_image(const uint8_t *image, const uint8_t *end)
{
	begin(image, end);
	return run();
}

#define RUN(name)   run_image(name, name##_end)
#define BEGIN(name) begin(name, name##_end)

static int set_up(void **state)
{
	guest = NULL;
	memset(&figures, 0, sizeof(figures));
	memset(&counters, 0, sizeof(counters));
	kvm_config = (struct umbra_kvm_config){0};
	output_length = 0;
	input = NULL;
	return 0;
}

static int tear_down(void **state)
{
	umbra_guest_destroy(guest);
	return 0;
}

/* With KVM's interrupt controllers, and with the machine's own. */
#define WITH_BOTH_CHIPS for (int own = 0; own < 2 && (kvm_config.own_chips = own, true); own++)

static void the_debug_exit_ends_it_with_its_value(void **state)
{
	const struct umbra_end *end = RUN(exits);

	assert_int_equal(end->reason, UMBRA_END_DEBUG_EXIT);
	assert_int_equal(end->value, 42);
	assert_string_equal(end->cpu_mode, "32-bit protected");
	assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_ENDED);
}

static void a_string_goes_to_the_console_byte_by_byte(void **state)
{
	assert_int_equal(RUN(speaks)->reason, UMBRA_END_DEBUG_EXIT);
	assert_int_equal(output_length, 5);
	assert_memory_equal(output, "hello", 5);
}

static void the_console_is_read(void **state)
{
	input = "read me!";
	assert_int_equal(RUN(echoes)->reason, UMBRA_END_DEBUG_EXIT);
	assert_memory_equal(output, "read me!", 8);
}

static void a_triple_fault_ends_it_and_says_where(void **state)
{
	const struct umbra_end *end = RUN(faults);

	assert_int_equal(end->reason, UMBRA_END_TRIPLE_FAULT);
	assert_non_null(end->cpu_mode);
}

static void a_power_off_ends_it(void **state)
{
	assert_int_equal(RUN(powers_off)->reason, UMBRA_END_POWER_OFF);
}

static void where_nobody_answers_all_bits_are_one(void **state)
{
	assert_int_equal(RUN(nobody)->value, UINT32_MAX & 0xff);
}

static void a_guest_that_nothing_can_wake_has_ended(void **state)
{
	WITH_BOTH_CHIPS
	{
		assert_int_equal(RUN(halts)->reason, UMBRA_END_HALTED);
	}
}

static void timer_interrupts_wake_it(void **state)
{
	WITH_BOTH_CHIPS
	{
		const struct umbra_end *end = RUN(ticks);

		assert_int_equal(end->reason, UMBRA_END_DEBUG_EXIT);
		assert_true(end->value >= 5);
		/* At 100 Hz five of them take at least 40 ms. */
		assert_true(umbra_guest_time(guest) >= SECOND / 25);
	}
}

static void interrupts_of_devices_reach_it(void **state)
{
	WITH_BOTH_CHIPS
	{
		assert_int_equal(RUN(sends)->value, 9);
	}
}

static void registers_and_memory_are_what_the_guest_left(void **state)
{
	struct umbra_registers registers;
	uint32_t word = 0;

	RUN(computes);
	umbra_guest_registers(guest, 0, &registers);
	assert_int_equal(registers.gpr[3], 0x12345678);
	assert_int_equal(registers.gpr[1], 0x9abcdef0);
	assert_int_equal(registers.selector[1], 0x10);
	assert_int_equal(umbra_guest_memory_read(guest, 0x280000, &word, sizeof(word)), 0);
	assert_int_equal(word, 0x12345678);
}

/* Where KVM emulates CPL 0 this is among what it cannot. */
static void floating_point_is_there_or_the_soft_engine_is_named(void **state)
{
	static const uint8_t movd[] = {0x66, 0x0f, 0x6e, 0xdb};
	const struct umbra_end *end = RUN(computes_more);
	struct umbra_registers registers;

	if (end->reason == UMBRA_END_ERROR) {
		assert_int_not_equal(access("/sys/module/kvm_intel", F_OK), 0);
		assert_int_not_equal(access("/sys/module/kvm_amd", F_OK), 0);
		assert_non_null(strstr(end->text, "--engine soft"));
		assert_true(end->nr_bytes >= sizeof(movd));
		assert_memory_equal(end->bytes, movd, sizeof(movd));
		return;
	}
	assert_int_equal(end->value, 1);
	umbra_guest_registers(guest, 0, &registers);
	assert_int_equal(registers.xmm[3][0], 0x12345678);
	assert_int_equal(registers.fcw, 0x37f);
	/* ST(0) is 0, ST(1) is 1; the top is register 6, all below it are empty. */
	assert_int_equal(registers.st[0].significand, 0);
	assert_int_equal(registers.st[1].significand, 1ull << 63);
	assert_int_equal(registers.st[1].exponent, 0x3fff);
	assert_int_equal(registers.ftw, 0x1fff);
}

static uint64_t spun(void)
{
	struct umbra_registers registers;

	umbra_guest_registers(guest, 0, &registers);
	return registers.gpr[1];
}

static void it_stands_still_where_run_returned(void **state)
{
	struct umbra_guest_config config = config_of(1);
	const struct timespec while_later = {.tv_nsec = 50000000};
	uint64_t before;

	config.interval = SECOND / 50;
	create(&config);
	load(spins, (size_t)(spins_end - spins), NULL);
	assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_INTERVAL);
	assert_true(umbra_guest_time(guest) >= SECOND / 50);
	before = spun();
	assert_true(before > 0);
	nanosleep(&while_later, NULL);
	assert_int_equal(spun(), before);
	for (int i = 0; i < 20; i++)
		assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_INTERVAL);
	assert_true(spun() > before);
}

/* Others of the same user may have filled the queue. */
static void it_stands_still_though_no_signal_can_be_queued(void **state)
{
	struct umbra_guest_config config = config_of(2);
	struct rlimit before, none;

	config.interval = SECOND / 50;
	create(&config);
	load(spins, (size_t)(spins_end - spins), NULL);
	getrlimit(RLIMIT_SIGPENDING, &before);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	alarm(60);
	assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_INTERVAL);
	alarm(0);
	setrlimit(RLIMIT_SIGPENDING, &before);
}

static void *kick_soon(void *context)
{
	const struct timespec soon = {.tv_nsec = 30000000};

	nanosleep(&soon, NULL);
	umbra_guest_kick(context);
	return NULL;
}

static void a_kick_from_another_thread_stops_it(void **state)
{
	pthread_t thread;

	BEGIN(spins);
	for (int i = 0; i < 5; i++) {
		pthread_create(&thread, NULL, kick_soon, guest);
		assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_KICKED);
		pthread_join(thread, NULL);
	}
	/* One that came before is not lost. */
	umbra_guest_kick(guest);
	assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_KICKED);
	umbra_guest_stop(guest, UMBRA_END_LIMIT_SECONDS, "enough");
	assert_int_equal(umbra_guest_end(guest)->reason, UMBRA_END_LIMIT_SECONDS);
	assert_string_equal(umbra_guest_end(guest)->text, "enough");
	assert_true(umbra_guest_end(guest)->nr_bytes > 0);
}

/* Its own check passes only when shoot-downs by interrupts between vCPUs work. */
static void all_vcpus_run(void **state)
{
	size_t size;
	void *image = shipped_guest("smp", &size);

	WITH_BOTH_CHIPS
	{
		struct umbra_guest_config config = config_of(2);
		const struct umbra_end *end;

		create(&config);
		load(image, size, "rounds=2 changes=2 pages=8");
		end = run();
		assert_int_equal(end->reason, UMBRA_END_DEBUG_EXIT);
		assert_int_equal(end->value, 0);
	}
	free(image);
}

static void wake_the_other(void)
{
	struct umbra_guest_config config = config_of(2);
	const struct umbra_end *end;

	create(&config);
	load(wakes, (size_t)(wakes_end - wakes), NULL);
	end = run();
	assert_int_equal(end->reason, UMBRA_END_DEBUG_EXIT);
	assert_int_equal(end->value, 7);
}

/* The guest enables nothing. */
static void its_boot_processors_apic_sends(void **state)
{
	WITH_BOTH_CHIPS
	{
		wake_the_other();
	}
}

static void a_processor_that_was_not_started_knows_no_nmi(void **state)
{
	WITH_BOTH_CHIPS
	{
		struct umbra_guest_config config = config_of(2);
		const struct umbra_end *end;

		create(&config);
		load(disturbs, (size_t)(disturbs_end - disturbs), NULL);
		end = run();
		assert_int_equal(end->reason, UMBRA_END_DEBUG_EXIT);
		assert_int_equal(end->value, 3);
	}
}

static void an_interrupt_under_way_keeps_it_alive(void **state)
{
	kvm_config.own_chips = true;
	for (int i = 0; i < 20; i++)
		wake_the_other();
}

static void what_kvm_cannot_know_is_not_known(void **state)
{
	const struct umbra_known *known;
	const size_t time = UMBRA_INDEX(struct umbra_counters, time, 0);

	RUN(exits);
	known = umbra_guest_counters_known(guest);
	for (size_t i = 0; i < sizeof(counters) / sizeof(uint64_t); i++)
		assert_int_equal(umbra_known_has(known, i), i == time);
	assert_int_equal(umbra_guest_counters(guest)->time[0], counters.time[0]);
	assert_true(counters.time[0] > 0);
}

static void kvms_own_statistics_are_published(void **state)
{
	const size_t exits_at = UMBRA_INDEX(struct umbra_kvm_counters, kvm_exits, 0);
	struct umbra_kvm_figures copy;

	RUN(speaks);
	umbra_kvm_figures_read(&figures, &copy);
	assert_true(umbra_known_has(&copy.known, exits_at));
	assert_true(copy.counters.kvm_exits[0] > 0);
	assert_memory_equal(&copy, umbra_guest_kvm_figures(guest), sizeof(copy));
	assert_true(copy.others.nr > 0);
}

static void figures_of_a_hostile_writer_are_harmless(void **state)
{
	struct umbra_kvm_figures copy;

	figures.others.nr = UINT32_MAX;
	umbra_kvm_figures_read(&figures, &copy);
	assert_int_equal(copy.others.nr, 0);
	figures.others.nr = 3;
	strcpy(figures.others.other[0].name, "sound");
	memset(figures.others.other[1].name, 'x', sizeof(figures.others.other[1].name));
	umbra_kvm_figures_read(&figures, &copy);
	assert_int_equal(copy.others.nr, 1);
	strcpy(figures.others.other[0].name, "bad\"");
	umbra_kvm_figures_read(&figures, &copy);
	assert_int_equal(copy.others.nr, 0);
}

static void its_mode_is_the_hosts(void **state)
{
	struct umbra_error error;

	BEGIN(exits);
	assert_int_equal(umbra_guest_engine(guest), UMBRA_ENGINE_KVM);
	assert_int_equal(umbra_guest_mode(guest), UMBRA_MODE_SHADOW);
	assert_int_equal(umbra_guest_switch(guest, UMBRA_MODE_EPT, NULL, &error), -EPERM);
	assert_int_equal(umbra_guest_switch(guest, UMBRA_MODE_SHADOW, NULL, &error), -EALREADY);
	assert_null(umbra_guest_last_switch(guest));
}

static void nobody_sees_its_tables(void **state)
{
	static struct umbra_translation translation;
	struct umbra_explanation *explanation = NULL;

	BEGIN(exits);
	assert_int_equal(umbra_guest_translate(guest, 0, 0, UMBRA_EXPLAIN_READ, &translation, NULL),
			 -EOPNOTSUPP);
	assert_int_equal(
		umbra_guest_explain(guest, 0, UMBRA_EXPLAIN_READ, false, &explanation, NULL),
		-EOPNOTSUPP);
	assert_int_equal(umbra_guest_explain_tables(guest, 0, UMBRA_PAGE_4k, 4, NULL), -EOPNOTSUPP);
}

static void refuses(struct umbra_guest_config config, int code)
{
	struct umbra_guest *none = NULL;

	assert_int_equal(umbra_guest_create(&config, &counters, &none, NULL), code);
	assert_null(none);
}

static void what_it_cannot_do_is_refused(void **state)
{
	struct umbra_guest_config config = config_of(1);

	config.mode = UMBRA_MODE_BRUTE;
	refuses(config, -EOPNOTSUPP);
	config = config_of(1);
	config.clock = UMBRA_CLOCK_INSTRUCTIONS;
	refuses(config, -EOPNOTSUPP);
	config = config_of(1);
	config.processor = "zen2";
	refuses(config, -EOPNOTSUPP);
	config = config_of(1);
	config.backing = UMBRA_PAGE_1g;
	refuses(config, -EOPNOTSUPP);
	config = config_of(UMBRA_MAX_CPUS + 1);
	refuses(config, -EINVAL);
	config = config_of(1);
	kvm_config.fd = STDIN_FILENO;
	refuses(config, -EOPNOTSUPP);
}

static unsigned open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned nr = 0;

	assert_non_null(directory);
	while (readdir(directory))
		nr++;
	closedir(directory);
	return nr;
}

static void a_guest_leaves_no_descriptor_behind(void **state)
{
	struct umbra_guest_config config = config_of(2);
	unsigned before = open_descriptors();

	for (int i = 0; i < 20; i++) {
		create(&config);
		load(exits, (size_t)(exits_end - exits), NULL);
		run();
	}
	umbra_guest_destroy(guest);
	guest = NULL;
	assert_int_equal(open_descriptors(), before);
}

static void its_calls_are_all_listed(void **state)
{
	struct umbra_kvm_call calls[UMBRA_KVM_CALLS_MAX];
	struct umbra_guest_config config = config_of(UMBRA_MAX_CPUS);
	size_t nr;

	create(&config);
	nr = umbra_guest_kvm_calls(guest, calls);
	assert_in_range(nr, 2 + UMBRA_MAX_CPUS, UMBRA_KVM_CALLS_MAX);
	for (size_t i = 0; i < nr; i++)
		assert_true(fcntl(calls[i].fd, F_GETFD) >= 0);
}

/* Threads of this process that have the name of a vCPU's. */
static unsigned vcpu_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	char path[300], name[16];
	unsigned nr = 0;

	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		nr += fgets(name, sizeof(name), file) && !strncmp(name, "vcpu ", 5);
		fclose(file);
	}
	closedir(tasks);
	return nr;
}

/* What a thread asks of the kernel to begin, an embedder's filter may forbid from then on. */
static void its_threads_have_begun_when_it_is_created(void **state)
{
	struct umbra_guest_config config = config_of(UMBRA_MAX_CPUS);

	for (int i = 0; i < 50; i++) {
		create(&config);
		assert_int_equal(vcpu_threads(), UMBRA_MAX_CPUS);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		TEST(the_debug_exit_ends_it_with_its_value),
		TEST(a_string_goes_to_the_console_byte_by_byte),
		TEST(the_console_is_read),
		TEST(a_triple_fault_ends_it_and_says_where),
		TEST(a_power_off_ends_it),
		TEST(where_nobody_answers_all_bits_are_one),
		TEST(a_guest_that_nothing_can_wake_has_ended),
		TEST(timer_interrupts_wake_it),
		TEST(interrupts_of_devices_reach_it),
		TEST(registers_and_memory_are_what_the_guest_left),
		TEST(floating_point_is_there_or_the_soft_engine_is_named),
		TEST(it_stands_still_where_run_returned),
		TEST(it_stands_still_though_no_signal_can_be_queued),
		TEST(a_kick_from_another_thread_stops_it),
		TEST(all_vcpus_run),
		TEST(its_boot_processors_apic_sends),
		TEST(a_processor_that_was_not_started_knows_no_nmi),
		TEST(an_interrupt_under_way_keeps_it_alive),
		TEST(what_kvm_cannot_know_is_not_known),
		TEST(kvms_own_statistics_are_published),
		TEST(figures_of_a_hostile_writer_are_harmless),
		TEST(its_mode_is_the_hosts),
		TEST(nobody_sees_its_tables),
		TEST(what_it_cannot_do_is_refused),
		TEST(a_guest_leaves_no_descriptor_behind),
		TEST(its_calls_are_all_listed),
		TEST(its_threads_have_begun_when_it_is_created),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0) {
		printf("1..0 # SKIP /dev/kvm: %s\n", strerror(errno));
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
