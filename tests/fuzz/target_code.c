/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target: any bytes as code, any tables. An input chooses control registers, segments,
 * flags and registers, changes entries of page tables and descriptors, and brings code; what it
 * does not bring (handlers, data, the rest of the tables) is a program of fuzz_program.c. The guest
 * is a multiboot image, so it gets where it gets by nothing but its own instructions (start.S).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_image.h"
#include "target.h"
#include "umbra/explain.h"
#include "umbra/guest.h"

#define INSTRUCTIONS 3000u
#define TIME         30000u
#define NR_PROGRAMS  16u

static uint8_t image[FUZZ_IMAGE_SIZE];

static const struct fuzz_program *program_of(unsigned seed)
{
	static struct fuzz_program *programs[NR_PROGRAMS];

	if (programs[seed])
		return programs[seed];
	programs[seed] = malloc(sizeof(**programs));
	if (!programs[seed])
		abort();
	fuzz_program_make(programs[seed], seed);
	return programs[seed];
}

static void console_write(void *context, const uint8_t *bytes, size_t len)
{
}

static int console_read(void *context)
{
	unsigned *number = context;

	return ++*number % 3 ? (int)(*number & 0xff) : -1;
}

/* Whatever state the guest is left in, it can be asked about any address. */
static void explain(struct umbra_guest *guest, uint64_t gva, unsigned access)
{
	struct umbra_explanation *explanation;
	struct umbra_error error;

	if (!umbra_guest_explain(guest, gva, access % 3, gva & 1, &explanation, &error))
		umbra_explanation_free(explanation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct umbra_counters counters;
	unsigned read = 0;
	struct umbra_guest_config config = {
		.name = "fuzz",
		.clock = UMBRA_CLOCK_INSTRUCTIONS,
		.interval = TIME,
		.console = {console_write, console_read, &read},
	};
	const struct umbra_image file = {.name = "fuzz", .data = image, .size = sizeof(image)};
	struct umbra_registers registers;
	struct umbra_error error;
	struct umbra_guest *guest;
	struct fuzz_head head;

	if (size < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	config.mode = head.mode % UMBRA_MODE_COUNT;
	config.cpus = 1 + head.mode / 64;
	config.memory = (1ull + head.memory_mib % 8) << 20;
	fuzz_image_make(image, program_of(head.program % NR_PROGRAMS), &head, data + sizeof(head),
			size - sizeof(head));
	if (umbra_guest_create(&config, &counters, &guest, &error) < 0 ||
	    umbra_guest_load(guest, &file, &error) < 0) {
		fprintf(stderr, "%s: %s\n", error.subject, error.text);
		abort();
	}
	target_run(guest, INSTRUCTIONS);
	umbra_guest_registers(guest, 0, &registers);
	explain(guest, registers.rip, UMBRA_EXPLAIN_EXECUTE);
	explain(guest, registers.gpr[head.spare & 15], head.spare >> 4);
	umbra_guest_destroy(guest);
	return 0;
}
