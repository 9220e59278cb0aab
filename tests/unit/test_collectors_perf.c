/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The collector perf_event against a kernel that the test makes up, then against the real one. */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "collectors/processor.h"
#include "tests/unit/perf_fixture.h"

#define COLLECTOR            perf_event_collector
#define RAW                  PERF_TYPE_RAW
#define AT(name, element)    UMBRA_INDEX(struct perf_event_counters, name, element)

#define assert_state(begins) assert_memory_equal(state(), begins, strlen(begins))
#define assert_says(text)    assert_non_null(strstr(state(), text))

static struct perf_fake fake;
static struct vm_vcpu vcpus[2000];
static struct vm vm = {.number = 7, .vcpus = vcpus};

static const char *state(void)
{
	static char text[COLLECTOR_STATE_MAX];

	COLLECTOR.state(fake.collector, text);
	return text;
}

/* The VM has these threads from now on; 0 ends the list. */
static void set_threads(const pid_t *tids)
{
	vm.nr_vcpus = 0;
	for (; *tids; tids++) {
		vcpus[vm.nr_vcpus] = (struct vm_vcpu){(int)vm.nr_vcpus, *tids};
		vm.nr_vcpus++;
	}
	COLLECTOR.update(fake.collector, &vm);
}

#define THREADS(...) set_threads((const pid_t[]){__VA_ARGS__, 0})

static struct vm_sample take(void)
{
	static uint64_t now;
	struct vm_sample sample = {0};

	COLLECTOR.begin(fake.collector, now += 1000000000);
	COLLECTOR.sample(fake.collector, &vm, &sample);
	return sample;
}

static bool known(const struct vm_sample *sample, size_t index)
{
	return umbra_known_has(&sample->perf_event_known, index);
}

static void count(pid_t tid, uint32_t type, uint64_t config, uint64_t value)
{
	struct perf_fd *fd = perf_fake_find(&fake, tid, type, config);

	assert_non_null(fd);
	fd->value += value;
}

static void begin(const char *cpuinfo)
{
	perf_fake_init(&fake, cpuinfo);
	perf_fake_start(&fake);
}

/* --- which events ------------------------------------------------------------------------- */

#ifdef HAVE_LIBPFM
/* Codes of REFERENCES.md and the manuals: event, umask and, at bit 24, the counter mask. */
struct coded {
	uint64_t config;
	size_t counter[2];
};

#define LOADS  AT(tlb_load_misses, 0)
#define STORES AT(tlb_store_misses, 0)
#define DATA   AT(tlb_misses, UMBRA_ACCESS_data)
#define CODE   AT(tlb_misses, UMBRA_ACCESS_instruction)
#define WALKS  AT(walk_cycles, 0)
#define NESTED AT(walk_cycles_nested, 0)
#define FLUSH  AT(tlb_flush_attempts, 0)
#define NONE   UMBRA_KNOWN_MAX

static const struct {
	const char *cpuinfo;
	struct coded events[9];
} processors[] = {
	{PERF_HASWELL,
	 {{0x1008, {WALKS, NONE}},
	  {0x1049, {WALKS, NONE}},
	  {0x1085, {WALKS, NONE}},
	  {0x104f, {NESTED, NONE}},
	  {0x0108, {LOADS, DATA}},
	  {0x0149, {STORES, DATA}},
	  {0x0185, {CODE, NONE}},
	  {0x20bd, {FLUSH, NONE}}}},
	{PERF_SKYLAKE,
	 {{0x1001008, {WALKS, NONE}},
	  {0x1001049, {WALKS, NONE}},
	  {0x1001085, {WALKS, NONE}},
	  {0x104f, {WALKS, NESTED}},
	  {0x0108, {LOADS, DATA}},
	  {0x0149, {STORES, DATA}},
	  {0x0185, {CODE, NONE}},
	  {0x20bd, {FLUSH, NONE}}}},
	{PERF_ICELAKE,
	 {{0x1001008, {WALKS, NONE}},
	  {0x1001049, {WALKS, NONE}},
	  {0x1001085, {WALKS, NONE}},
	  {0x0e08, {LOADS, DATA}},
	  {0x0e49, {STORES, DATA}},
	  {0x0e85, {CODE, NONE}},
	  {0x20bd, {FLUSH, NONE}}}},
	{PERF_SAPPHIRE,
	 {{0x1001012, {WALKS, NONE}},
	  {0x1001013, {WALKS, NONE}},
	  {0x1001011, {WALKS, NONE}},
	  {0x0e12, {LOADS, DATA}},
	  {0x0e13, {STORES, DATA}},
	  {0x0e11, {CODE, NONE}}}},
	{PERF_ZEN3, {{0xf045, {DATA, NONE}}, {0x0f85, {CODE, NONE}}, {0xff78, {FLUSH, NONE}}}},
	{PERF_ZEN4, {{0xf045, {DATA, NONE}}, {0x0f85, {CODE, NONE}}, {0xff78, {FLUSH, NONE}}}},
};

static void each_processor_has_the_events_of_its_manual(void **unused)
{
	for (size_t i = 0; i < sizeof(processors) / sizeof(processors[0]); i++) {
		uint64_t expected[UMBRA_KNOWN_MAX + 1] = {0};
		struct vm_sample sample;
		size_t nr = 0;

		begin(processors[i].cpuinfo);
		THREADS(11);
		for (const struct coded *event = processors[i].events; event->config; event++) {
			uint64_t value = 1000 + nr * nr;

			count(11, RAW, event->config, value);
			expected[event->counter[0]] += value;
			expected[event->counter[1]] += value;
			nr++;
		}
		/* Beside these: four of the kernel, cycles, instructions. */
		assert_int_equal(perf_fake_count(&fake, 11), nr + 6);
		perf_fake_run(&fake, 11, 1000, 1000);
		sample = take();
		for (size_t j = AT(tlb_misses, 0); j <= FLUSH; j++) {
			assert_int_equal(known(&sample, j), expected[j] > 0);
			assert_int_equal(((uint64_t *)&sample.perf_event)[j], expected[j]);
		}
		if (known(&sample, WALKS))
			assert_string_equal(state(), "ok");
		else
			assert_says("has no event for walk_cycles");
		COLLECTOR.remove(fake.collector, &vm);
		perf_fake_end(&fake);
	}
}

static int refuse_ept(const struct perf_event_attr *attr, pid_t tid)
{
	return attr->type == RAW && attr->config == 0x104f ? EINVAL : 0;
}

static void an_event_that_is_missing_takes_only_its_counters_along(void **unused)
{
	struct vm_sample sample;

	perf_fake_init(&fake, PERF_SKYLAKE);
	fake.refuse = refuse_ept;
	perf_fake_start(&fake);
	THREADS(11);
	perf_fake_run(&fake, 11, 1000, 1000);
	sample = take();
	assert_state("degraded: EPT:WALK_PENDING: Invalid argument");
	/* Walk cycles without those of the second step would be too few. */
	assert_false(known(&sample, WALKS));
	assert_false(known(&sample, NESTED));
	assert_true(known(&sample, DATA));
	assert_true(known(&sample, AT(cycles, 0)));
	perf_fake_end(&fake);
}
#else
static void a_build_without_libpfm4_counts_the_rest(void **unused)
{
	struct vm_sample sample;

	begin(PERF_SKYLAKE);
	THREADS(11);
	perf_fake_run(&fake, 11, 1000, 1000);
	sample = take();
	assert_state("degraded: this build lacks libpfm4");
	assert_true(known(&sample, AT(cycles, 0)));
	assert_false(known(&sample, AT(walk_cycles, 0)));
	perf_fake_end(&fake);
}
#endif

static void only_what_the_guest_does_is_counted_but_of_the_kernels_events(void **unused)
{
	begin(PERF_SKYLAKE);
	THREADS(11);
	for (size_t i = 0; i < PERF_FDS_MAX; i++) {
		const struct perf_fd *fd = &fake.fds[i];

		if (!fd->open)
			continue;
		assert_int_equal(fd->tid, 11);
		assert_int_equal(fd->attr.exclude_host, fd->attr.type != PERF_TYPE_SOFTWARE);
		assert_false(fd->attr.exclude_guest);
		assert_false(fd->attr.exclude_kernel);
		assert_false(fd->attr.exclude_user);
		assert_false(fd->attr.disabled);
		/* Software and hardware events are not of one group. */
		assert_int_equal(fd->attr.type == PERF_TYPE_SOFTWARE,
				 fake.fds[fd->leader].attr.type == PERF_TYPE_SOFTWARE);
	}
	perf_fake_end(&fake);
}

static void no_group_needs_more_counters_than_a_thread_has(void **unused)
{
	begin(PERF_SKYLAKE);
	THREADS(11);
	for (size_t i = 0; i < PERF_FDS_MAX; i++) {
		size_t raw = 0;

		for (size_t j = 0; j < PERF_FDS_MAX; j++) {
			const struct perf_fd *fd = &fake.fds[j];

			raw += fd->open && fd->leader == (int)i && fd->attr.type == RAW;
		}
		assert_true(raw <= 4);
	}
	perf_fake_end(&fake);
}

static void an_unknown_processor_has_cycles_and_instructions(void **unused)
{
	struct vm_sample sample;

	begin(PERF_CPUINFO("GenuineIntel", 6, 255, "Intel(R) Xeon(R) 7 Processor"));
	THREADS(11);
	perf_fake_run(&fake, 11, 1000, 1000);
	sample = take();
#ifdef HAVE_LIBPFM
	assert_state("degraded: no events are known for this processor "
		     "(GenuineIntel, family 6, model 255)");
#endif
	assert_true(known(&sample, AT(cycles, 0)));
	assert_true(known(&sample, AT(instructions, 0)));
	assert_false(known(&sample, AT(walk_cycles, 0)));
	perf_fake_end(&fake);
}

static void without_cpuinfo_the_kernels_events_go_on(void **unused)
{
	struct vm_sample sample;

	begin(NULL);
	THREADS(11);
	sample = take();
#ifdef HAVE_LIBPFM
	assert_says("cpuinfo does not tell the processor");
#endif
	assert_true(known(&sample, AT(host_task_clock, 0)));
	perf_fake_end(&fake);
}

/* --- what may be missing ------------------------------------------------------------------ */

static int refused_errno;

static int refuse_hardware(const struct perf_event_attr *attr, pid_t tid)
{
	return attr->type == PERF_TYPE_SOFTWARE ? 0 : refused_errno;
}

static void software_events_alone(const char *expected_state)
{
	struct vm_sample sample;

	fake.refuse = refuse_hardware;
	perf_fake_start(&fake);
	/* It is told before there is any VM. */
	assert_state(expected_state);
	THREADS(11, 12);
	count(11, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 3);
	count(12, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 4);
	for (pid_t tid = 11; tid <= 12; tid++) {
		struct perf_fd *leader =
			perf_fake_find(&fake, tid, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK);

		leader->enabled = leader->running = 100;
	}
	sample = take();
	assert_state(expected_state);
	assert_true(known(&sample, AT(host_page_faults, 0)));
	assert_int_equal(sample.perf_event.host_page_faults[0], 7);
	for (size_t i = 0; i < AT(host_task_clock, 0); i++)
		assert_false(known(&sample, i));
	assert_false(known(&sample, AT(perf_time_enabled, 0)));
	perf_fake_end(&fake);
}

static void without_a_pmu_the_kernels_events_go_on(void **unused)
{
	static const int errors[] = {ENOENT, ENODEV, EOPNOTSUPP};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		refused_errno = errors[i];
		perf_fake_init(&fake, PERF_SKYLAKE);
		software_events_alone("unsupported: this machine offers no counters");
	}
}

static void without_permission_the_state_says_what_it_takes(void **unused)
{
	static const struct {
		int error;
		const char *level, *state;
	} cases[] = {
		{EACCES, "2\n",
		 "denied: cycles: Permission denied; CAP_PERFMON is needed where "
		 "kernel.perf_event_paranoid is 2"},
		{EPERM, "2\n",
		 "denied: cycles: Operation not permitted; CAP_PERFMON is needed where "
		 "kernel.perf_event_paranoid is 2"},
		/* Debian's own level, at which umbra-collect's service has too little. */
		{EACCES, "3\n",
		 "denied: cycles: Permission denied; CAP_SYS_ADMIN is needed where "
		 "kernel.perf_event_paranoid is 3, CAP_PERFMON where it is 2"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		refused_errno = cases[i].error;
		perf_fake_init(&fake, PERF_SKYLAKE);
		perf_fake_write(&fake, "proc/sys/kernel/perf_event_paranoid", cases[i].level);
		software_events_alone(cases[i].state);
	}
}

static int refuse_all(const struct perf_event_attr *attr, pid_t tid)
{
	return refused_errno;
}

static void a_kernel_without_perf_is_unsupported(void **unused)
{
	struct vm_sample sample;

	refused_errno = ENOSYS;
	perf_fake_init(&fake, PERF_SKYLAKE);
	fake.refuse = refuse_all;
	perf_fake_start(&fake);
	THREADS(11);
	sample = take();
	assert_state("unsupported: ");
	for (size_t i = 0; i < UMBRA_KNOWN_MAX; i++)
		assert_false(known(&sample, i));
	perf_fake_end(&fake);
}

static int refuse_others(const struct perf_event_attr *attr, pid_t tid)
{
	return tid ? EACCES : 0;
}

static void threads_of_others_may_be_denied_although_ours_is_not(void **unused)
{
	perf_fake_init(&fake, PERF_SKYLAKE);
	fake.refuse = refuse_others;
	perf_fake_start(&fake);
	THREADS(11, 12);
	assert_state("denied: the vCPUs' threads: Permission denied");
	perf_fake_end(&fake);
}

static void too_many_descriptors_cost_a_thread_and_are_tried_again(void **unused)
{
	struct vm_sample sample;
	size_t each;

	begin(PERF_ZEN4);
	THREADS(11);
	each = perf_fake_count(&fake, 11);
	fake.fds_max = 2 * each - 1;
	THREADS(11, 12);
	assert_says("1 of 2 threads are not fully counted: Too many open files");
	perf_fake_run(&fake, 11, 1000, 1000);
	sample = take();
	/* Half of the misses is no count of them; what fitted is. */
	assert_false(known(&sample, AT(tlb_misses, UMBRA_ACCESS_data)));
	assert_true(known(&sample, AT(host_task_clock, 0)));
	fake.fds_max = 0;
	for (int i = 0; i < 31; i++)
		take();
	assert_int_equal(perf_fake_count(&fake, 12), each);
	assert_null(strstr(state(), "threads are not"));
	perf_fake_end(&fake);
}

/* --- scaling ------------------------------------------------------------------------------ */

static void what_counted_half_of_the_time_is_doubled(void **unused)
{
	struct vm_sample sample;

	begin(PERF_SKYLAKE);
	THREADS(11);
	count(11, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 1000);
	perf_fake_run(&fake, 11, 2000, 1000);
	sample = take();
	assert_int_equal(sample.perf_event.cycles[0], 2000);
	assert_int_equal(sample.perf_event.perf_time_enabled[0], 2000);
	assert_int_equal(sample.perf_event.perf_time_running[0], 1000);
#ifdef HAVE_LIBPFM
	assert_string_equal(state(), "ok");
#endif
	perf_fake_end(&fake);
}

/* Scaled over all of its time, a count that then gets all of it would fall from 10000 to 5500. */
static void no_sum_falls_when_the_share_of_the_time_grows(void **unused)
{
	struct vm_sample sample;

	begin(PERF_SKYLAKE);
	THREADS(11);
	count(11, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 1000);
	perf_fake_run(&fake, 11, 1000, 100);
	sample = take();
	assert_int_equal(sample.perf_event.cycles[0], 10000);
	perf_fake_run(&fake, 11, 1000, 1000);
	sample = take();
	assert_int_equal(sample.perf_event.cycles[0], 10000);
	/* What did not count at all waits, and is then spread over all of that time. */
	perf_fake_run(&fake, 11, 900, 0);
	sample = take();
	assert_int_equal(sample.perf_event.cycles[0], 10000);
	assert_true(known(&sample, AT(cycles, 0)));
	count(11, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 50);
	perf_fake_run(&fake, 11, 100, 100);
	sample = take();
	assert_int_equal(sample.perf_event.cycles[0], 10500);
	perf_fake_end(&fake);
}

static void a_share_below_a_fifth_is_told(void **unused)
{
	begin(PERF_SKYLAKE);
	THREADS(11);
	perf_fake_run(&fake, 11, 1000, 199);
	take();
	assert_state("degraded: ");
	assert_says("some counted 19% of the time");
	perf_fake_run(&fake, 11, 1000, 200);
	take();
	assert_null(strstr(state(), "of the time"));
	perf_fake_end(&fake);
}

static void what_never_counted_is_not_known(void **unused)
{
	struct vm_sample sample;

	begin(PERF_SKYLAKE);
	THREADS(11);
	perf_fake_run(&fake, 11, 1000, 0);
	sample = take();
	assert_false(known(&sample, AT(cycles, 0)));
	assert_false(known(&sample, AT(perf_time_running, 0)));
	assert_says("some counted 0% of the time");
	perf_fake_end(&fake);
}

static void a_vcpu_that_never_ran_did_nothing(void **unused)
{
	struct vm_sample sample;

	begin(PERF_SKYLAKE);
	THREADS(11);
	sample = take();
	assert_true(known(&sample, AT(cycles, 0)));
	assert_int_equal(sample.perf_event.cycles[0], 0);
	perf_fake_end(&fake);
}

/* --- threads come and go ------------------------------------------------------------------ */

static void counts_of_ended_threads_are_kept(void **unused)
{
	struct vm_sample sample;

	begin(PERF_SKYLAKE);
	THREADS(11, 12);
	count(11, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 100);
	count(12, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 30);
	perf_fake_run(&fake, 11, 10, 10);
	perf_fake_run(&fake, 12, 10, 10);
	sample = take();
	assert_int_equal(sample.perf_event.cycles[0], 130);
	/* What it did after the last sample counts too. */
	count(11, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 5);
	perf_fake_run(&fake, 11, 10, 10);
	THREADS(12, 13);
	assert_int_equal(perf_fake_count(&fake, 11), 0);
	count(13, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 1);
	perf_fake_run(&fake, 13, 10, 10);
	sample = take();
	assert_int_equal(sample.perf_event.cycles[0], 136);
	perf_fake_end(&fake);
}

static void a_thread_that_dies_in_the_middle_is_closed_and_the_rest_goes_on(void **unused)
{
	struct vm_sample sample;

	begin(PERF_SKYLAKE);
	THREADS(11, 12);
	count(11, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 100);
	perf_fake_run(&fake, 11, 10, 10);
	take();
	fake.dead = 11;
	sample = take();
	assert_false(known(&sample, AT(cycles, 0)));
	assert_int_equal(perf_fake_count(&fake, 11), 0);
	THREADS(12);
	count(12, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 1);
	perf_fake_run(&fake, 12, 10, 10);
	sample = take();
	assert_true(known(&sample, AT(cycles, 0)));
	assert_int_equal(sample.perf_event.cycles[0], 101);
	perf_fake_end(&fake);
}

static void a_thread_that_has_ended_before_it_is_opened_is_no_trouble(void **unused)
{
	begin(PERF_SKYLAKE);
	fake.dead = 11;
	THREADS(11);
	take();
#ifdef HAVE_LIBPFM
	assert_string_equal(state(), "ok");
#endif
	perf_fake_end(&fake);
}

static void a_thread_of_two_vcpus_counts_once(void **unused)
{
	struct vm_sample sample;

	begin(PERF_SKYLAKE);
	THREADS(11, 11);
	count(11, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 100);
	perf_fake_run(&fake, 11, 10, 10);
	sample = take();
	assert_int_equal(sample.perf_event.cycles[0], 100);
	perf_fake_end(&fake);
}

static void vms_are_told_apart_and_forgotten(void **unused)
{
	struct vm_vcpu vcpu[3] = {{0, 20}, {0, 21}, {0, 22}};
	struct vm vms[3] = {{.number = 5, .vcpus = &vcpu[0], .nr_vcpus = 1},
			    {.number = 9, .vcpus = &vcpu[1], .nr_vcpus = 1},
			    {.number = 2, .vcpus = &vcpu[2], .nr_vcpus = 1}};

	begin(PERF_SKYLAKE);
	for (int i = 0; i < 3; i++) {
		COLLECTOR.update(fake.collector, &vms[i]);
		count(20 + i, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 100 + i);
		perf_fake_run(&fake, 20 + i, 10, 10);
	}
	for (int i = 0; i < 3; i++) {
		struct vm_sample sample = {0};

		COLLECTOR.sample(fake.collector, &vms[i], &sample);
		assert_int_equal(sample.perf_event.cycles[0], 100 + i);
		COLLECTOR.remove(fake.collector, &vms[i]);
		assert_int_equal(perf_fake_count(&fake, 20 + i), 0);
		memset(&sample, 0, sizeof(sample));
		COLLECTOR.sample(fake.collector, &vms[i], &sample);
		assert_false(known(&sample, AT(cycles, 0)));
	}
	perf_fake_end(&fake);
}

static void no_descriptor_is_left_of_a_thousand_threads(void **unused)
{
	begin(PERF_SKYLAKE);
	for (int i = 0; i < 1000; i++) {
		THREADS(100 + i, 101 + i);
		take();
		if (i % 7 == 3)
			fake.dead = 101 + i;
		if (i % 10 == 9)
			COLLECTOR.remove(fake.collector, &vm);
	}
	assert_true(fake.nr_opened > 5000);
	perf_fake_end(&fake);
}

/* --- the processor ------------------------------------------------------------------------ */

static void the_frequency_is_the_nominal_one_where_it_is_told(void **unused)
{
	struct processor processor;

	perf_fake_init(&fake, PERF_SKYLAKE);
	processor_detect(&fake.settings.roots, &processor);
	assert_string_equal(processor_name(processor.kind), "skylake");
	assert_true(processor.frequency == 2.5e9);
	perf_fake_write(&fake, "sys/devices/system/cpu/cpu0/cpufreq/base_frequency", "2400000\n");
	processor_detect(&fake.settings.roots, &processor);
	assert_true(processor.frequency == 2.4e9);
	perf_fake_end(&fake);

	perf_fake_init(&fake, PERF_ZEN3);
	processor_detect(&fake.settings.roots, &processor);
	assert_string_equal(processor_name(processor.kind), "zen3");
	/* Of this moment, which is better than none. */
	assert_true(processor.frequency > 3.4001e9 && processor.frequency < 3.4002e9);
	perf_fake_write(&fake, "sys/devices/system/cpu/cpu0/acpi_cppc/nominal_freq", "2450\n");
	processor_detect(&fake.settings.roots, &processor);
	assert_true(processor.frequency == 2.45e9);
	perf_fake_end(&fake);

	perf_fake_init(&fake, "nothing of use\n\n");
	processor_detect(&fake.settings.roots, &processor);
	assert_string_equal(processor_name(processor.kind), "unknown");
	assert_true(processor.frequency == 0);
	perf_fake_end(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef HAVE_LIBPFM
		cmocka_unit_test(each_processor_has_the_events_of_its_manual),
		cmocka_unit_test(an_event_that_is_missing_takes_only_its_counters_along),
#else
		cmocka_unit_test(a_build_without_libpfm4_counts_the_rest),
#endif
		cmocka_unit_test(only_what_the_guest_does_is_counted_but_of_the_kernels_events),
		cmocka_unit_test(no_group_needs_more_counters_than_a_thread_has),
		cmocka_unit_test(an_unknown_processor_has_cycles_and_instructions),
		cmocka_unit_test(without_cpuinfo_the_kernels_events_go_on),
		cmocka_unit_test(without_a_pmu_the_kernels_events_go_on),
		cmocka_unit_test(without_permission_the_state_says_what_it_takes),
		cmocka_unit_test(a_kernel_without_perf_is_unsupported),
		cmocka_unit_test(threads_of_others_may_be_denied_although_ours_is_not),
		cmocka_unit_test(too_many_descriptors_cost_a_thread_and_are_tried_again),
		cmocka_unit_test(what_counted_half_of_the_time_is_doubled),
		cmocka_unit_test(no_sum_falls_when_the_share_of_the_time_grows),
		cmocka_unit_test(a_share_below_a_fifth_is_told),
		cmocka_unit_test(what_never_counted_is_not_known),
		cmocka_unit_test(a_vcpu_that_never_ran_did_nothing),
		cmocka_unit_test(counts_of_ended_threads_are_kept),
		cmocka_unit_test(a_thread_that_dies_in_the_middle_is_closed_and_the_rest_goes_on),
		cmocka_unit_test(a_thread_that_has_ended_before_it_is_opened_is_no_trouble),
		cmocka_unit_test(a_thread_of_two_vcpus_counts_once),
		cmocka_unit_test(vms_are_told_apart_and_forgotten),
		cmocka_unit_test(no_descriptor_is_left_of_a_thousand_threads),
		cmocka_unit_test(the_frequency_is_the_nominal_one_where_it_is_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
