/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs random hostile guests in bare, shadow, ept and with switches at random instructions, and
 * compares all that a guest can see. No guest may crash the core, hold umbra_guest_run() against a
 * kick, or tell the modes apart.
 *
 *   fuzz_guest [SEED [COUNT]]    COUNT guests from SEED on; UMBRA_FULL: many
 *
 * A difference is traced: the modes go side by side, an instruction at a time, up to where they
 * part. Where the guest wrote a table before and did not invalidate at once, the manual lets it see
 * the old or the new translation, and the guest is counted apart.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "engine/guest.h"
#include "fuzz.h"
#include "umbra/translate.h"
#include "x86/segment.h"

#define MAX_INSTRUCTIONS 20000
#define MAX_TIME         400000 /* guest time: REP iterations and HLT count */
#define TICK_US          20000  /* of processor time */
#define STALLED_TICKS    3      /* no progress for so long: an endless chain of faults */
#define HUNG_TICKS       1500   /* a kick must have been honoured by then */
#define NR_HISTORY       24     /* instructions that a trace shows */
#define SHORT_GUESTS     60     /* the same ones in each run, however busy the machine is */
#define FULL_SECONDS     600    /* of the processor */

struct run {
	struct umbra_guest *guest;
	struct umbra_counters counters;
	uint64_t console_hash;
	uint64_t console_in;
	bool stalled;
};

struct outcome {
	enum umbra_end_reason reason;
	uint32_t value;
	struct umbra_registers registers;
	uint64_t instructions, time, console_hash;
	char hash[33];
};

/* The way a guest is driven. */
struct plan {
	const char *name;
	enum umbra_mode mode;
	uint64_t step; /* stops after up to so many instructions; 0: never */
	bool switches; /* ... and switches there */
};

static const struct plan plans[] = {
	{"bare", UMBRA_MODE_BARE, 0, false},     {"ept", UMBRA_MODE_EPT, 0, false},
	{"shadow", UMBRA_MODE_SHADOW, 0, false}, {"shadow, stopping", UMBRA_MODE_SHADOW, 60, false},
	{"brute", UMBRA_MODE_BRUTE, 0, false},   {"switching", UMBRA_MODE_EPT, 300, true},
};

#define NR_PLANS (sizeof(plans) / sizeof(plans[0]))

static struct fuzz_program program;

/* The watchdog: kicks a guest that makes no progress; a kick that is not honoured ends the test. */
static struct run *volatile watched;
static volatile uint64_t last_progress, stalled_ticks;

static void tick(int signal)
{
	static const char hung[] = "Bail out! umbra_guest_run() does not honour a kick\n";
	struct run *run = watched;
	uint64_t progress;

	if (!run)
		return;
	progress = run->guest->cpu[0]->instructions + run->guest->cpu[0]->steps +
		   run->guest->cpu[0]->idle_time;
	stalled_ticks = progress == last_progress ? stalled_ticks + 1 : 0;
	last_progress = progress;
	if (stalled_ticks < STALLED_TICKS)
		return;
	run->stalled = true;
	umbra_guest_kick(run->guest);
	if (stalled_ticks > HUNG_TICKS) {
		if (write(STDOUT_FILENO, hung, sizeof(hung) - 1) < 0)
			_exit(2);
		abort();
	}
}

/* Asked to stop: reports what was done. */
static volatile sig_atomic_t stop_asked;

static void ask_to_stop(int signal)
{
	stop_asked = 1;
}

static void console_write(void *context, const uint8_t *bytes, size_t len)
{
	struct run *run = context;

	while (len--)
		run->console_hash = (run->console_hash ^ *bytes++) * 0x100000001b3ull;
}

static int console_read(void *context)
{
	struct run *run = context;

	return fuzz_one_in(&run->console_in, 2) ? (int)fuzz_below(&run->console_in, 256) : -1;
}

static void die(const char *what, const struct umbra_error *error)
{
	printf("Bail out! seed %" PRIu64 ": %s: %s\n", program.seed, what, error->text);
	exit(1);
}

/* Both PICs at vectors 32 ... 47, the timer and the UART unmasked, the timer quick. */
static void start_devices(struct machine *machine)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} writes[] = {
		{0x20, 0x11}, {0x21, 0x20}, {0x21, 0x04}, {0x21, 0x01}, {0xa0, 0x11},
		{0xa1, 0x28}, {0xa1, 0x02}, {0xa1, 0x01}, {0x21, 0xea}, {0xa1, 0xff},
		{0x43, 0x34}, {0x40, 0x00}, {0x40, 0x00},
	};
	unsigned nr = sizeof(writes) / sizeof(writes[0]);

	for (unsigned i = 0; i < nr; i++)
		machine_out(machine, writes[i].port, 1,
			    i == nr - 2 ? 1 + program.seed % 16 : writes[i].value, 0);
}

static void start(struct run *run, enum umbra_mode mode)
{
	struct umbra_guest_config config = {
		.name = "fuzz",
		.mode = mode,
		.clock = UMBRA_CLOCK_INSTRUCTIONS,
		.memory = program.memory,
		.interval = MAX_TIME,
		.console = {console_write, console_read, run},
		.seed = program.seed,
	};
	struct boot_entry entry = {
		.long_mode = program.long_mode,
		.rip = FUZZ_CODE,
		.rsp = FUZZ_STACKS + 0x1000,
		.cr3 = FUZZ_PML4,
		.gdt_base = FUZZ_GDT,
		.gdt_limit = FUZZ_GDT_SIZE - 1,
		.cs = FUZZ_SELECTOR_CODE,
		.ds = FUZZ_SELECTOR_DATA,
	};
	struct umbra_error error = {0};
	struct x86_cpu *cpu;

	memset(run, 0, sizeof(*run));
	run->console_in = program.seed;
	if (umbra_guest_create(&config, &run->counters, &run->guest, &error) < 0)
		die("cannot create a guest", &error);
	cpu = run->guest->cpu[0];
	if (memory_write(&run->guest->memory, 0, program.low, sizeof(program.low)) < 0 ||
	    x86_start(cpu, &entry) < 0)
		die("cannot load a guest", &error);
	cpu->idtr = (struct x86_table_register){FUZZ_IDT, 0xfff};
	cpu->tr = (struct x86_segment){FUZZ_TSS, 0x67, FUZZ_SELECTOR_TSS, SEG_P | SYS_TSS_BUSY};
	cpu->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	if (program.long_mode)
		cpu->efer |= EFER_NXE | EFER_SCE;
	cpu->star = (uint64_t)FUZZ_SELECTOR_USER_32 << 48 | (uint64_t)FUZZ_SELECTOR_CODE << 32;
	cpu->lstar = FUZZ_HANDLERS;
	x86_update_paging(cpu);
	start_devices(run->guest->machine);
}

/* Runs on to @until; false: nothing more is to be had of the guest. */
static bool advance(struct run *run, uint64_t until)
{
	enum umbra_event event;

	stalled_ticks = 0;
	watched = run;
	event = umbra_guest_run(run->guest, until);
	watched = NULL;
	return event == UMBRA_EVENT_INSTRUCTION;
}

/* To the next of brute, shadow and ept. */
static void switch_mode(struct umbra_guest *guest)
{
	enum umbra_mode on = umbra_guest_mode(guest);
	struct umbra_error error;

	umbra_guest_switch(guest, on == UMBRA_MODE_EPT ? UMBRA_MODE_BRUTE : on + 1, NULL, &error);
}

/* Of a live guest, which must not notice: the first plan never stops for it. */
static void translate(const struct run *run, uint64_t *random)
{
	static struct umbra_translation translation;

	for (unsigned i = 0; i < 2; i++)
		umbra_guest_translate(run->guest, 0, fuzz_tables_address(&program, random),
				      (enum umbra_explain_access)fuzz_below(random, 3),
				      &translation, NULL);
}

static void drive(struct run *run, const struct plan *plan)
{
	uint64_t random = program.seed, asked = program.seed, at = 0;

	for (;;) {
		uint64_t until = MAX_INSTRUCTIONS;

		if (plan->step) {
			at += 1 + fuzz_below(&random, plan->step);
			until = at < until ? at : until;
		}
		if (!advance(run, until) || until == MAX_INSTRUCTIONS)
			return;
		translate(run, &asked);
		if (plan->switches)
			switch_mode(run->guest);
	}
}

static void finish(const struct run *run, struct outcome *ret)
{
	const struct umbra_end *end = umbra_guest_end(run->guest);

	memset(ret, 0, sizeof(*ret));
	ret->reason = end ? end->reason : UMBRA_END_NONE;
	ret->value = end ? end->value : 0;
	umbra_guest_registers(run->guest, 0, &ret->registers);
	ret->instructions = run->guest->cpu[0]->instructions;
	ret->time = umbra_guest_time(run->guest);
	ret->console_hash = run->console_hash;
	umbra_guest_memory_hash(run->guest, ret->hash);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->reason == b->reason && a->value == b->value && a->time == b->time &&
	       a->instructions == b->instructions && a->console_hash == b->console_hash &&
	       !memcmp(&a->registers, &b->registers, sizeof(a->registers)) &&
	       !strcmp(a->hash, b->hash);
}

static void print_outcome(const char *name, const struct outcome *o)
{
	printf("# %-16s %s, %" PRIu64 " instructions, time %" PRIu64 ", rip %" PRIx64
	       ", console %" PRIx64 ", memory %s\n",
	       name, umbra_end_reason_name(o->reason), o->instructions, o->time, o->registers.rip,
	       o->console_hash, o->hash);
}

/* Addresses of all kinds, asked of a guest that stands still in whatever state. */
static void explain(struct run *run, uint64_t *random)
{
	for (unsigned i = 0; i < 4; i++) {
		struct umbra_explanation *explanation = NULL;
		struct umbra_error error;

		if (!umbra_guest_explain(run->guest, fuzz_tables_address(&program, random),
					 (enum umbra_explain_access)fuzz_below(random, 3),
					 fuzz_one_in(random, 2), &explanation, &error))
			umbra_explanation_free(explanation);
	}
}

/*
 * Whether the next instruction is INVLPG, or a move from or to CR3 that does the same: others of
 * their groups are not, such as an LGDT that the guest has made of its INVLPG.
 */
static bool invalidates(const struct run *run)
{
	uint8_t bytes[3] = {0};
	unsigned reg;

	/* Code of these guests is mapped to itself. */
	umbra_guest_memory_read(run->guest, run->guest->cpu[0]->gpr[X86_RIP], bytes, 3);
	reg = bytes[2] >> 3 & 7;
	if (bytes[0] != 0x0f)
		return false;
	if (bytes[1] == 0x01)
		return reg == 7 && bytes[2] < 0xc0;
	return (bytes[1] == 0x20 || bytes[1] == 0x22) && reg == 3;
}

static void print_registers(const char *name, const struct run *run)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"};
	struct umbra_registers r;

	umbra_guest_registers(run->guest, 0, &r);
	printf("# %-8s rip %" PRIx64 " rflags %" PRIx64 " cr0 %" PRIx64 " cr2 %" PRIx64
	       " cr3 %" PRIx64 " cs %x\n#  ",
	       name, r.rip, r.rflags, r.cr0, r.cr2, r.cr3, r.selector[1]);
	for (unsigned i = 0; i < 8; i++)
		printf(" %s %" PRIx64, names[i], r.gpr[i]);
	printf("\n");
}

/* Where memory differs. */
static void print_memory(const struct run *a, const struct run *b)
{
	unsigned printed = 0;

	for (uint64_t gpa = 0; gpa < program.memory && printed < 8; gpa += 8) {
		uint64_t va = 0, vb = 0;

		if (umbra_guest_memory_read(a->guest, gpa, &va, 8) ||
		    umbra_guest_memory_read(b->guest, gpa, &vb, 8) || va == vb)
			continue;
		printf("#   at %" PRIx64 ": %" PRIx64 " %" PRIx64 "\n", gpa, va, vb);
		printed++;
	}
}

/*
 * Goes side by side with @plan's way and a guest in ept (whose table writes are all counted).
 * Returns whether a table write without an invalidation just behind it came before the difference.
 */
static bool trace(const struct plan *plan)
{
	uint64_t random = program.seed, at = 0, writes, time, stop = 0;
	uint64_t dirty_at = 0, dirty_rip = 0, history[NR_HISTORY] = {0};
	struct run ept, other;
	struct outcome a, b;
	bool more = true;

	start(&ept, UMBRA_MODE_EPT);
	start(&other, plan->mode);
	if (plan->step)
		stop = 1 + fuzz_below(&random, plan->step);
	for (;;) {
		uint64_t rip = ept.guest->cpu[0]->gpr[X86_RIP];
		bool pending;

		history[at % NR_HISTORY] = rip;
		time = umbra_guest_time(ept.guest);
		writes = umbra_guest_counters(ept.guest)->guest_table_writes[0];
		more = advance(&ept, at + 1);
		more &= advance(&other, at + 1);
		pending = umbra_guest_counters(ept.guest)->guest_table_writes[0] != writes;
		finish(&ept, &a);
		finish(&other, &b);
		if (!same(&a, &b) || !more || at == MAX_INSTRUCTIONS) {
			/* A REP that wrote a table and went on. */
			if (pending && !dirty_at && a.time > time + 1) {
				dirty_at = at;
				dirty_rip = rip;
			}
			break;
		}
		at++;
		if (plan->switches && at == stop)
			switch_mode(other.guest);
		if (plan->step && at == stop)
			stop += 1 + fuzz_below(&random, plan->step);
		if (pending && !dirty_at && !invalidates(&ept)) {
			dirty_at = at;
			dirty_rip = rip;
		}
	}
	printf("# seed %" PRIu64 ", %s: differs from ept at instruction %" PRIu64
	       ": %s %s, time %" PRIu64 " %" PRIu64 ", memory %s%s\n",
	       program.seed, plan->name, at, umbra_end_reason_name(a.reason),
	       umbra_end_reason_name(b.reason), a.time, b.time,
	       strcmp(a.hash, b.hash) ? "differs" : "same",
	       same(&a, &b) ? " (not when stepped)" : "");
	if (dirty_at)
		printf("# table written without invalidation before, at instruction %" PRIu64
		       ", rip %" PRIx64 "\n",
		       dirty_at, dirty_rip);
	print_registers("ept", &ept);
	print_registers(plan->name, &other);
	print_memory(&ept, &other);
	for (unsigned i = NR_HISTORY; i; i--) {
		uint64_t rip = history[(at - i + 1) % NR_HISTORY];
		uint8_t bytes[8] = {0};

		umbra_guest_memory_read(ept.guest, rip, bytes, sizeof(bytes));
		printf("#   ran %" PRIx64 ":", rip);
		for (unsigned k = 0; k < sizeof(bytes); k++)
			printf(" %02x", bytes[k]);
		printf("\n");
	}
	if (a.reason == UMBRA_END_ERROR || b.reason == UMBRA_END_ERROR)
		printf("# %s\n",
		       (a.reason == UMBRA_END_ERROR ? &ept : &other)->guest->cpu[0]->end.text);
	umbra_guest_destroy(ept.guest);
	umbra_guest_destroy(other.guest);
	return dirty_at;
}

struct tally {
	uint64_t guests, instructions, stalled, allowed, failed;
	uint64_t ends[UMBRA_END_REASON_COUNT];
};

static void fuzz_one(uint64_t seed, struct tally *tally)
{
	struct outcome first = {0}, outcome;
	bool stalled = false;

	fuzz_program_make(&program, seed);
	for (size_t i = 0; i < NR_PLANS; i++) {
		uint64_t random = seed;
		struct run run;

		start(&run, plans[i].mode);
		drive(&run, &plans[i]);
		finish(&run, &outcome);
		tally->instructions += outcome.instructions;
		stalled |= run.stalled;
		explain(&run, &random);
		if (i == 0) {
			first = outcome;
			tally->ends[outcome.reason]++;
		} else if (!same(&first, &outcome) && !stalled) {
			bool allowed;

			print_outcome(plans[0].name, &first);
			print_outcome(plans[i].name, &outcome);
			allowed = trace(&plans[i]) ||
				  (plans[i].mode != UMBRA_MODE_BARE && trace(&plans[0]));

			if (allowed)
				tally->allowed++;
			else
				tally->failed++;
			printf("# %s\n", allowed ? "allowed" : "NOT ALLOWED");
			i = NR_PLANS;
		}
		umbra_guest_destroy(run.guest);
	}
	tally->stalled += stalled;
	tally->guests++;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	const struct itimerval interval = {{0, TICK_US}, {0, TICK_US}};
	bool full = getenv("UMBRA_FULL") && *getenv("UMBRA_FULL");
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : full ? UINT64_MAX : SHORT_GUESTS;
	double limit = full && argc <= 2 ? FULL_SECONDS : 1e9;
	double begin = seconds();
	struct tally tally = {0};

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPROF, tick);
	setitimer(ITIMER_PROF, &interval, NULL);
	printf("1..1\n");
	signal(SIGTERM, ask_to_stop);
	while (tally.guests < count && seconds() - begin < limit && !stop_asked)
		fuzz_one(seed++, &tally);
	printf("# %" PRIu64 " guests, %" PRIu64 " instructions; %" PRIu64 " stalled, %" PRIu64
	       " differ as the manual allows\n",
	       tally.guests, tally.instructions, tally.stalled, tally.allowed);
	for (int i = 0; i < UMBRA_END_REASON_COUNT; i++)
		printf("# %s: %" PRIu64 "\n", umbra_end_reason_name(i), tally.ends[i]);
	printf("%s 1 - no guest tells the modes apart or stops the core\n",
	       tally.failed ? "not ok" : "ok");
	return tally.failed != 0;
}
