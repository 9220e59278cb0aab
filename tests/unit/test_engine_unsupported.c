/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest turns on that shadow does not support: the embedder, or policy auto, goes to ept. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/guest.h"
#include "policy/pilot.h"

#define MEMORY   (4ull << 20)
#define GDT      0x3000ull
#define PML5     0x4000ull
#define PML4     0x5000ull
#define PDPT     0x6000ull
#define PD       0x7000ull
#define PD_4M    0x8000ull
#define DATA     0x9000ull
#define CODE     0x10000ull
#define INTERVAL 1000000000ull

static struct umbra_counters published;

/* A paging mode, as its registers are written one after the other. */
struct feature {
	const char *name; /* as the end's text has it */
	uint32_t cr4, cr3, efer, cr4_after;
};

static const struct feature features[] = {
	{"2-level paging", CR4_PSE, PD_4M, 0, CR4_PSE},
	{"PAE paging", CR4_PAE, PDPT, 0, CR4_PAE},
	{"CR4.LA57", CR4_PAE | CR4_LA57, PML5, EFER_LME, CR4_PAE | CR4_LA57},
	{"CR4.PCIDE", CR4_PAE, PML4, EFER_LME, CR4_PAE | CR4_PCIDE},
};

#define EACH_FEATURE(f)                                                                            \
	const struct feature *f = features;                                                        \
	f < features + sizeof(features) / sizeof(features[0]);                                     \
	f++

#define BYTES(n) (uint8_t)(n), (uint8_t)((n) >> 8), (uint8_t)((n) >> 16), (uint8_t)((n) >> 24)

static void write64(struct umbra_guest *guest, uint64_t gpa, uint64_t value)
{
	assert_int_equal(memory_write(&guest->memory, gpa, &value, sizeof(value)), 0);
}

/* A guest in 32-bit protected mode that turns the feature on, writes, reads and ends with 5. */
static struct umbra_guest *create(const struct feature *feature, enum umbra_mode mode)
{
	const struct umbra_guest_config config = {.name = "unsupported",
						  .mode = mode,
						  .clock = UMBRA_CLOCK_INSTRUCTIONS,
						  .memory = MEMORY,
						  .interval = INTERVAL};
	const struct boot_entry entry = {
		.rip = CODE, .gdt_base = GDT, .gdt_limit = 23, .cs = 8, .ds = 16};
	const uint32_t cr0 = CR0_PE | CR0_PG | CR0_ET;
	const uint8_t code[] = {
		0xb8,     BYTES(feature->cr4),
		0x0f,     0x22,
		0xe0, /* mov eax, ...; mov cr4, eax */
		0xb8,     BYTES(feature->cr3),
		0x0f,     0x22,
		0xd8, /* cr3 */
		0xb9,     BYTES(MSR_EFER),
		0x31,     0xd2, /* mov ecx, ...; xor edx, edx */
		0xb8,     BYTES(feature->efer),
		0x0f,     0x30, /* mov eax, ...; wrmsr */
		0xb8,     BYTES(cr0),
		0x0f,     0x22,
		0xc0, /* cr0 */
		0xb8,     BYTES(feature->cr4_after),
		0x0f,     0x22,
		0xe0,     0xc7,
		0x05,     BYTES(DATA),
		BYTES(5), /* mov dword [DATA], 5 */
		0xa0,     BYTES(DATA),
		0xe6,     0xf4, /* mov al, [DATA]; out 0xf4, al */
	};
	struct umbra_guest *guest;

	assert_int_equal(umbra_guest_create(&config, &published, &guest, NULL), 0);
	write64(guest, PML5, PML4 | PTE_P | PTE_W);
	write64(guest, PML4, PDPT | PTE_P | PTE_W);
	write64(guest, PDPT, PD | PTE_P); /* W is reserved in PAE's */
	write64(guest, PD, PTE_P | PTE_W | PTE_PS);
	write64(guest, PD_4M, PTE_P | PTE_W | PTE_PS);
	write64(guest, GDT + 8, 0x00cf9b000000ffff);
	write64(guest, GDT + 16, 0x00cf93000000ffff);
	assert_int_equal(memory_write(&guest->memory, CODE, code, sizeof(code)), 0);
	assert_int_equal(x86_start(guest->cpu[0], &entry), 0);
	return guest;
}

struct outcome {
	struct umbra_end end;
	struct umbra_registers registers;
	uint64_t instructions, time;
	char hash[33];
};

static void finish(struct umbra_guest *guest, struct outcome *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->end = *umbra_guest_end(guest);
	umbra_guest_registers(guest, 0, &ret->registers);
	ret->instructions = umbra_guest_counters(guest)->instructions[0];
	ret->time = umbra_guest_time(guest);
	umbra_guest_memory_hash(guest, ret->hash);
	umbra_guest_destroy(guest);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->end.reason, b->end.reason);
	assert_int_equal(a->end.value, b->end.value);
	assert_memory_equal(&a->registers, &b->registers, sizeof(a->registers));
	assert_int_equal(a->instructions, b->instructions);
	assert_int_equal(a->time, b->time);
	assert_string_equal(a->hash, b->hash);
}

/* What the guest does in ept. */
static void reference(const struct feature *feature, struct outcome *ret)
{
	struct umbra_guest *guest = create(feature, UMBRA_MODE_EPT);

	assert_int_equal(umbra_guest_run(guest, 1000), UMBRA_EVENT_ENDED);
	finish(guest, ret);
	assert_int_equal(ret->end.reason, UMBRA_END_DEBUG_EXIT);
	assert_int_equal(ret->end.value, 5);
}

static void a_guest_switched_at_the_event_cannot_tell(void **state)
{
	for (EACH_FEATURE(feature)) {
		struct umbra_guest *guest = create(feature, UMBRA_MODE_SHADOW);
		struct outcome expected, outcome;
		struct umbra_error error;

		reference(feature, &expected);
		assert_int_equal(umbra_guest_run(guest, 1000), UMBRA_EVENT_UNSUPPORTED);
		assert_null(umbra_guest_end(guest));
		assert_int_equal(umbra_guest_can_switch(guest, UMBRA_MODE_SHADOW, &error),
				 -EOPNOTSUPP);
		assert_non_null(strstr(error.text, feature->name));
		assert_int_equal(umbra_guest_switch(guest, UMBRA_MODE_EPT, NULL, NULL), 0);
		assert_int_equal(umbra_guest_switch(guest, UMBRA_MODE_SHADOW, NULL, NULL),
				 -EOPNOTSUPP);
		assert_int_equal(umbra_guest_run(guest, 1000), UMBRA_EVENT_ENDED);
		finish(guest, &outcome);
		assert_same(&outcome, &expected);
	}
}

static void a_guest_left_in_shadow_ends_with_the_features_name(void **state)
{
	for (EACH_FEATURE(feature)) {
		struct umbra_guest *guest = create(feature, UMBRA_MODE_SHADOW);
		const struct umbra_end *end;

		assert_int_equal(umbra_guest_run(guest, 1000), UMBRA_EVENT_UNSUPPORTED);
		assert_int_equal(umbra_guest_run(guest, 1000), UMBRA_EVENT_ENDED);
		end = umbra_guest_end(guest);
		assert_int_equal(end->reason, UMBRA_END_ERROR);
		assert_non_null(strstr(end->text, feature->name));
		assert_non_null(strstr(end->text, "shadow does not support it"));
		umbra_guest_destroy(guest);
	}
}

static void run_pilot(struct pilot *pilot)
{
	while (pilot_run(pilot, 1000) != UMBRA_EVENT_ENDED)
		continue;
}

static void policy_auto_goes_to_ept_and_says_impossible(void **state)
{
	const struct pilot_config config = {.kind = POLICY_AUTO};

	for (EACH_FEATURE(feature)) {
		struct umbra_guest *guest = create(feature, UMBRA_MODE_SHADOW);
		const struct switch_record *switches;
		struct outcome expected, outcome;
		struct pilot *pilot;

		reference(feature, &expected);
		assert_int_equal(pilot_create(guest, &config, &pilot, NULL), 0);
		run_pilot(pilot);
		assert_int_equal(umbra_guest_mode(guest), UMBRA_MODE_EPT);
		assert_int_equal(pilot_switches(pilot, &switches), 1);
		assert_string_equal(switches[0].reason, "impossible");
		assert_int_equal(switches[0].record.from, UMBRA_MODE_SHADOW);
		pilot_destroy(pilot);
		finish(guest, &outcome);
		assert_same(&outcome, &expected);
	}
}

static void pinned_and_advised_guests_are_not_switched(void **state)
{
	static const enum policy_kind kinds[] = {POLICY_PINNED, POLICY_ADVISE};

	for (unsigned i = 0; i < 2; i++) {
		const struct pilot_config config = {.kind = kinds[i]};
		struct umbra_guest *guest = create(&features[0], UMBRA_MODE_SHADOW);
		struct pilot *pilot;

		assert_int_equal(pilot_create(guest, &config, &pilot, NULL), 0);
		run_pilot(pilot);
		assert_int_equal(umbra_guest_mode(guest), UMBRA_MODE_SHADOW);
		assert_int_equal(pilot_nr_switches(pilot), 0);
		assert_int_equal(umbra_guest_end(guest)->reason, UMBRA_END_ERROR);
		pilot_destroy(pilot);
		umbra_guest_destroy(guest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_switched_at_the_event_cannot_tell),
		cmocka_unit_test(a_guest_left_in_shadow_ends_with_the_features_name),
		cmocka_unit_test(policy_auto_goes_to_ept_and_says_impossible),
		cmocka_unit_test(pinned_and_advised_guests_are_not_switched),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
