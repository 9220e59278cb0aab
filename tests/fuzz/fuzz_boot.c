/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads mutated multiboot and bzImage images: each is refused with a text or loads, and what loads
 * runs; none makes a loader read outside the image or write outside guest memory (a sanitizer
 * build sees that).
 *
 *   fuzz_boot [SEED [COUNT]]    COUNT images from SEED on; UMBRA_FULL: many
 */
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"
#include "umbra/guest.h"

#define MAX_IMAGE     16384u
#define MAX_APPEND    70000u
#define INSTRUCTIONS  2000u
#define TIME          20000u
#define SHORT_IMAGES  400
#define SHORT_SECONDS 10 /* on a slow machine */
#define FULL_SECONDS  60

/* An image before mutation, and where its fields are. */
struct image {
	uint8_t bytes[MAX_IMAGE];
	size_t size;
	struct {
		uint32_t from, to;
	} fields[3];
};

static void put(struct image *image, size_t at, uint64_t value, unsigned size)
{
	memcpy(&image->bytes[at], &value, size);
}

static void put_header(struct image *image, size_t at, uint32_t flags)
{
	put(image, at, 0x1badb002u, 4);
	put(image, at + 4, flags, 4);
	put(image, at + 8, (uint32_t)(0u - 0x1badb002u - flags), 4);
}

static void make_elf(struct image *image)
{
	Elf32_Ehdr elf = {.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT};

	memcpy(elf.e_ident, ELFMAG, SELFMAG);
	elf.e_ident[EI_CLASS] = ELFCLASS32;
	elf.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.e_ident[EI_VERSION] = EV_CURRENT;
	elf.e_entry = 0x100100;
	elf.e_phoff = sizeof(elf);
	elf.e_ehsize = sizeof(elf);
	elf.e_phentsize = sizeof(Elf32_Phdr);
	elf.e_phnum = 3;
	memcpy(image->bytes, &elf, sizeof(elf));
	for (unsigned i = 0; i < 3; i++) {
		Elf32_Phdr segment = {.p_type = PT_LOAD,
				      .p_offset = 0x200 * i,
				      .p_vaddr = 0x100000 + 0x2000 * i,
				      .p_paddr = 0x100000 + 0x2000 * i,
				      .p_filesz = 0x200,
				      .p_memsz = 0x1000};

		memcpy(&image->bytes[sizeof(elf) + i * sizeof(segment)], &segment, sizeof(segment));
	}
	put_header(image, 0x100, 2);
	image->size = 0x800;
	image->fields[0].to = sizeof(elf);
	image->fields[1].from = sizeof(elf);
	image->fields[1].to = sizeof(elf) + 3 * sizeof(Elf32_Phdr);
	image->fields[2].from = 0x100;
	image->fields[2].to = 0x10c;
}

static void make_addresses(struct image *image)
{
	put_header(image, 0x40, 0x10003);
	put(image, 0x4c, 0x100040, 4);
	put(image, 0x50, 0x100000, 4);
	put(image, 0x54, 0x100800, 4);
	put(image, 0x58, 0x101000, 4);
	put(image, 0x5c, 0x100100, 4);
	image->size = 0x800;
	for (unsigned i = 0; i < 3; i++) {
		image->fields[i].from = i ? 0x4c : 0x40;
		image->fields[i].to = 0x60;
	}
}

static void make_linux(struct image *image)
{
	put(image, 0x1f1, 2, 1);          /* setup_sects */
	put(image, 0x1f4, 0x100, 4);      /* syssize */
	put(image, 0x1fe, 0xaa55, 2);     /* boot_flag */
	put(image, 0x200, 0x66eb, 2);     /* jump over the header */
	put(image, 0x202, 0x53726448, 4); /* HdrS */
	put(image, 0x206, 0x20c, 2);      /* version */
	put(image, 0x211, 1, 1);          /* loadflags */
	put(image, 0x214, 0x100000, 4);   /* code32_start */
	put(image, 0x230, 0x200000, 4);   /* kernel_alignment */
	put(image, 0x236, 1, 2);          /* xloadflags */
	put(image, 0x238, 255, 4);        /* cmdline_size */
	put(image, 0x258, 0x200000, 8);   /* pref_address */
	put(image, 0x260, 0x10000, 4);    /* init_size */
	image->size = 3 * 512 + 0x1000;
	for (unsigned i = 0; i < 3; i++) {
		image->fields[i].from = i ? 0x1f1 : 0x200;
		image->fields[i].to = 0x268;
	}
}

static void (*const makers[])(struct image *image) = {make_elf, make_addresses, make_linux};

static uint64_t interesting(uint64_t *random, const struct image *image)
{
	switch (fuzz_below(random, 6)) {
	case 0: return 0;
	case 1: return UINT64_MAX - fuzz_below(random, 16);
	case 2: return image->size + fuzz_below(random, 64) - 32;
	case 3: return 1ull << fuzz_below(random, 64);
	case 4: return 0x100000 + fuzz_below(random, 0x100000);
	default: return fuzz_random(random);
	}
}

static void mutate(struct image *image, uint64_t *random)
{
	static const uint8_t sizes[] = {1, 2, 4, 4, 8};
	unsigned changes = fuzz_below(random, 5);

	/* Code: random, or nothing but NOPs. */
	for (size_t i = 0x280; i < image->size; i++)
		image->bytes[i] = fuzz_one_in(random, 4) ? fuzz_random(random) : 0x90;
	while (changes--) {
		unsigned f = fuzz_below(random, 3), size = sizes[fuzz_below(random, 5)];
		uint32_t from = image->fields[f].from;
		uint32_t at = from + fuzz_below(random, image->fields[f].to - from);

		at &= ~(fuzz_one_in(random, 4) ? 0 : size - 1);
		put(image, at, interesting(random, image), size);
	}
	if (fuzz_one_in(random, 4))
		image->size = fuzz_below(random, image->size + 1);
	else if (fuzz_one_in(random, 8))
		image->size += fuzz_below(random, MAX_IMAGE - image->size);
}

struct tally {
	uint64_t images, loaded;
	unsigned failed;
};

static void run(struct umbra_guest *guest)
{
	/* Any event but an instruction's ends it: an interval is over or the guest is. */
	umbra_guest_run(guest, INSTRUCTIONS);
}

static void fuzz_one(uint64_t seed, struct tally *tally)
{
	static struct image image;
	uint64_t random = seed;
	struct umbra_guest_config config = {
		.name = "fuzz",
		.mode = (enum umbra_mode)fuzz_below(&random, UMBRA_MODE_COUNT),
		.clock = UMBRA_CLOCK_INSTRUCTIONS,
		.memory = (1 + fuzz_below(&random, 16)) << 20,
		.interval = TIME,
		.seed = seed,
	};
	struct umbra_counters counters;
	struct umbra_error error = {0};
	struct umbra_guest *guest;
	char *append = NULL;
	uint8_t *bytes;
	int status;

	memset(&image, 0, sizeof(image));
	makers[fuzz_below(&random, 3)](&image);
	mutate(&image, &random);
	/* Of exactly that size, so that a byte too many is seen. */
	bytes = malloc(image.size ? image.size : 1);
	if (fuzz_one_in(&random, 4)) {
		size_t len = fuzz_below(&random, fuzz_one_in(&random, 4) ? MAX_APPEND : 300);

		append = malloc(len + 1);
		if (append) {
			memset(append, 'a', len);
			append[len] = 0;
		}
	}
	if (!bytes || umbra_guest_create(&config, &counters, &guest, &error) < 0) {
		printf("Bail out! seed %" PRIu64 ": %s\n", seed, error.text);
		exit(1);
	}
	memcpy(bytes, image.bytes, image.size);
	status = umbra_guest_load(
		guest,
		&(struct umbra_image){
			.name = "fuzz.img", .data = bytes, .size = image.size, .append = append},
		&error);
	free(bytes);
	free(append);
	if (status == 0) {
		tally->loaded++;
		run(guest);
	} else if (status > 0 || error.code != status || !error.text[0]) {
		printf("# seed %" PRIu64 ": status %d, code %d, text \"%s\"\n", seed, status,
		       error.code, error.text);
		tally->failed++;
	}
	tally->images++;
	umbra_guest_destroy(guest);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	bool full = getenv("UMBRA_FULL") && *getenv("UMBRA_FULL");
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : full ? UINT64_MAX : SHORT_IMAGES;
	double limit = argc > 2 ? 1e9 : full ? FULL_SECONDS : SHORT_SECONDS;
	double begin = seconds();
	struct tally tally = {0};

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..2\n");
	while (tally.images < count && seconds() - begin < limit)
		fuzz_one(seed++, &tally);
	printf("# %" PRIu64 " images, %" PRIu64 " of them loaded\n", tally.images, tally.loaded);
	printf("%s 1 - an image is loaded or refused with a text\n",
	       tally.failed ? "not ok" : "ok");
	printf("%s 2 - some images load, some are refused\n",
	       tally.loaded && tally.loaded < tally.images ? "ok" : "not ok");
	return tally.failed != 0;
}
