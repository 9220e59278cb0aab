/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target: any bytes as an image, as an initrd and as modules. Each is refused with a
 * text or loads, and what loads runs a little. seeds.py writes what the fuzzer begins with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "umbra/guest.h"

#define INSTRUCTIONS 2000u
#define TIME         20000u

/* The first bytes of an input; what follows is the image. */
struct options {
	uint8_t mode, memory_mib;
	uint16_t append;            /* length of the command line; 0: none */
	uint8_t nr_modules, initrd; /* initrd: 0: none */
	uint8_t module_kib, spare;  /* size of each of them, or of the initrd */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct umbra_counters counters;
	static struct umbra_module modules[UMBRA_MODULES_MAX + 2];
	struct options options;
	struct umbra_guest_config config = {.name = "fuzz", .clock = UMBRA_CLOCK_INSTRUCTIONS};
	struct umbra_image image = {.name = "fuzz.img", .modules = modules};
	struct umbra_error error = {0};
	struct umbra_guest *guest;
	char *append, *bytes, *module;
	size_t module_size;
	int status;

	if (size < sizeof(options))
		return 0;
	memcpy(&options, data, sizeof(options));
	config.mode = options.mode % UMBRA_MODE_COUNT;
	config.memory = (1ull + options.memory_mib % 16) << 20;
	config.interval = TIME;
	image.size = size - sizeof(options);
	module_size = options.module_kib << 10 | (options.spare & 15);
	/* Each of exactly its size, so that a byte too many is seen. */
	bytes = malloc(image.size);
	append = malloc(options.append + 1u);
	module = malloc(module_size);
	if ((!bytes && image.size) || !append || (!module && module_size) ||
	    umbra_guest_create(&config, &counters, &guest, &error) < 0)
		abort();
	memcpy(bytes, data + sizeof(options), image.size);
	memset(append, 'a', options.append);
	append[options.append] = '\0';
	memset(module, 0x5a, module_size);
	for (unsigned i = 0; i < UMBRA_MODULES_MAX + 2; i++)
		modules[i] = (struct umbra_module){
			.name = "module", .data = module, .size = module_size, .string = append};
	image.data = bytes;
	image.append = options.append ? append : NULL;
	image.initrd = options.initrd ? &modules[0] : NULL;
	image.nr_modules = options.nr_modules % (UMBRA_MODULES_MAX + 2);
	status = umbra_guest_load(guest, &image, &error);
	free(bytes);
	free(append);
	free(module);
	if (status == 0)
		target_run(guest, INSTRUCTIONS);
	else if (status > 0 || error.code != status || !error.subject[0] || !error.text[0])
		abort(); /* refused without a word */
	umbra_guest_destroy(guest);
	return 0;
}
